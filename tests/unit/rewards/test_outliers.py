"""Noise on the reward: which rollouts get an outlier, what it is, and who sees it."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.config.compose import compose_run
from gapo_lab.errors import UserError
from gapo_lab.planning.spec import make_spec
from gapo_lab.planning.validation import check
from gapo_lab.rewards import outliers
from gapo_lab.rewards.edit_reward import score
from gapo_lab.runs.naming import run_name
from gapo_lab.tracking import mapping

SHARES = st.floats(0, 0.99)
TRUTH = "port: long = 60"
ANSWERS = {"port: long = 60": 0.0, "port: char = 60": 1.0, "": 1.0}


def replaced(share: float, seed: int, steps: int = 4) -> set[tuple[int, str, int]]:
    everything = [(step, f"task-{i}", n) for step in range(steps) for i in range(64) for n in range(8)]
    random.Random(0).shuffle(everything)
    return {one for one in everything if outliers.is_replaced(share, seed, *one)}


@given(SHARES, st.integers(0, 10**6))
def test_the_share_is_the_share(share, seed):
    """Of 2,048 rollouts; five standard errors of a binomial share leave no room for chance."""
    found = len(replaced(share, seed)) / 2048
    assert abs(found - share) <= 5 * (share * (1 - share) / 2048) ** 0.5 + 1e-9


@given(SHARES, SHARES, st.integers(0, 10**6))
def test_less_noise_is_part_of_more_noise_and_a_repetition_is_the_same(one, other, seed):
    low, high = sorted((one, other))
    assert replaced(low, seed, 1) <= replaced(high, seed, 1)
    assert replaced(low, seed, 1) == replaced(low, seed, 1)


def test_seed_step_prompt_and_rollout_each_draw_anew():
    a, b = replaced(0.2, 0, 8), replaced(0.2, 1, 8)
    for first, second in (
        (a, b),
        ({o[1:] for o in a if o[0] == 1}, {o[1:] for o in a if o[0] == 2}),
        ({(o[0], o[2]) for o in a if o[1] == "task-1"}, {(o[0], o[2]) for o in a if o[1] == "task-2"}),
        ({o[:2] for o in a if o[2] == 1}, {o[:2] for o in a if o[2] == 2}),
    ):
        assert first and second and first != second


@given(st.floats(0, 1))
def test_an_outlier_is_the_farther_end(reward):
    found = outliers.outlier(reward)
    assert found in (0.0, 1.0) and abs(found - reward) == max(reward, 1 - reward)


@given(st.sampled_from(list(ANSWERS)), st.booleans())
def test_what_it_was_stays(answer, hit):
    true = score(answer, TRUTH)
    found = outliers.noisy({**true, "em_raw": 1.0}, hit)
    assert {name: found[f"true_{name}"] for name in outliers.PARTS} == true
    assert {found[name] for name in outliers.PARTS} == {ANSWERS[answer]} if hit else {n: found[n] for n in true} == true
    assert found["noisy"] == hit and found["em_raw"] == 1.0


# In verl


@pytest.fixture(scope="module")
def tokenizer():
    from gapo_lab.models.nano import tokenizer

    return tokenizer.load()


def rollout(tokenizer, answer: str, number: int, source: str = "train", task: str = "t", step: int = 1):
    """One rollout as verl's agent loop hands it to a reward worker (`AgentLoopWorker._compute_score`)."""
    from verl.protocol import DataProto

    ids = tokenizer(answer)["input_ids"] + [tokenizer.eos_token_id]
    about = {
        "data_source": source,
        "global_steps": step,
        "session_id": number,
        "uid": "u",
        "extra_info": {"id": task},
        "reward_model": {"ground_truth": TRUTH},
    }
    return DataProto.from_dict(
        tensors={
            "prompts": torch.tensor([[1, 2]]),
            "responses": torch.tensor([ids]),
            "attention_mask": torch.ones(1, 2 + len(ids), dtype=torch.long),
        },
        non_tensors={name: np.array([value]) for name, value in about.items()},
    )


def scored(words: list[str], tokenizer, items: list) -> list[dict]:
    from verl.trainer.ppo.reward import load_reward_manager

    import gapo_lab.training.verl_plugin  # noqa: F401

    manager = load_reward_manager(compose_run(words), tokenizer)

    async def score_all():
        manager.loop = asyncio.get_running_loop()
        return [await manager.run_single(item) for item in items]

    return asyncio.run(score_all())


@pytest.mark.verl
@pytest.mark.parametrize("algo", ["grpo", "dapo"])
def test_the_estimator_and_the_filter_see_the_outlier_and_the_truth_is_kept(algo, tokenizer):
    answers = [list(ANSWERS)[n % 3] for n in range(60)]
    items = [rollout(tokenizer, answer, n) for n, answer in enumerate(answers)]
    noisy = scored([f"algo={algo}", "noise=0.3", "seed=5"], tokenizer, items)
    clean = scored([f"algo={algo}", "seed=5"], tokenizer, items)
    hits = [outliers.is_replaced(0.3, 5, 1, "t", n) for n in range(60)]
    assert 5 < sum(hits) < 40
    for answer, hit, seen, true in zip(answers, hits, noisy, clean, strict=True):
        info = seen["reward_extra_info"]
        assert (info["noisy"], info["true_score"]) == (hit, true["reward_extra_info"]["score"])
        assert info["score"] == (ANSWERS[answer] if hit else info["true_score"])
        # the overlong penalty of dapo stays as it is
        assert seen["reward_score"] - info["score"] == pytest.approx(true["reward_score"] - info["true_score"])
    # what dynamic sampling compares
    assert compose_run(["algo=dapo"]).algorithm.filter_groups.metric in outliers.PARTS
    # in another order, by another worker: the same
    assert scored([f"algo={algo}", "noise=0.3", "seed=5"], tokenizer, items[::-1])[::-1] == noisy


@pytest.mark.verl
def test_validation_has_no_noise(tokenizer):
    for source in ("id", "ood", "id_greedy"):
        items = [rollout(tokenizer, "wrong", n, source) for n in range(8)]
        assert scored(["noise=0.9"], tokenizer, items) == scored([], tokenizer, items)


# As a word


@pytest.mark.parametrize("word", ["noise=1", "noise=-0.1", "noise=much", "noise=nan", "noise=null"])
def test_a_share_that_cannot_be_is_refused_in_one_line(word):
    with pytest.raises(UserError, match=r"^noise=.*\[0, 1\)") as caught:
        check(compose_run([word]))
    assert "\n" not in str(caught.value)


def test_lists_have_no_such_reward():
    with pytest.raises(UserError, match="data=lists"):
        check(compose_run(["noise=0.1", "data=lists", "algo=group_aware"]))


def test_no_noise_is_the_run_that_it_was_and_noise_another():
    plain, none, some, more = (
        make_spec(compose_run([f"noise={share}"] if share else ["seed=0"])) for share in ("", "0.0", "0.1", "0.2")
    )
    assert plain.key == none.key and "noise" not in plain.science
    assert not any(name.startswith("reward.reward_manager") for name in plain.science)
    assert len({plain.key, some.key, more.key}) == 3
    assert some.name == run_name(some.as_dict()) == "nano gapo_grpo tau=0.5 noise=0.1 seed=0"
    assert run_name(plain.as_dict()) == plain.name
    assert [mapping.params(one.as_dict())["noise"] for one in (plain, some)] == ["0", "0.1"]
    assert mapping.cell_params(some.as_dict())["noise"] == "0.1"
