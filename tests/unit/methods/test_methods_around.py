"""ReDit, GDPO, group-aware GAPO, KRPO's order, and verl's own estimators that runs use, against their definitions."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab import methods
from gapo_lab.methods import gdpo, group_aware, grpo, krpo, redit
from gapo_lab.methods.group_aware import frequency_reward

TWO = (torch.tensor([0.2, 0.9]), torch.tensor([0, 0]))


@st.composite
def grouped(draw, values, smallest=1):
    """Values (B,) and groups (B,): one to four groups of up to 16, rows in any order."""
    sizes = draw(st.lists(st.integers(smallest, 16), min_size=1, max_size=4))
    rows = draw(st.permutations([g for g, size in enumerate(sizes) for _ in range(size)]))
    return draw(st.lists(values, min_size=len(rows), max_size=len(rows))), rows


def members(groups):
    found = defaultdict(list)
    for row, group in enumerate(groups):
        found[group].append(row)
    return found.values()


SCORES = st.sampled_from([0.0, 0.25, 0.3, 0.45, 1.0])


# ---------------------------------------------------------------------------------------- group-aware


@examples(60)
@given(batch=grouped(st.integers(-1, 5)), length=st.integers(6, 12))
def test_frequency_reward_is_its_definition(batch, length):
    items, groups = batch
    wanted = [0.0] * len(items)
    for rows in members(groups):
        counts = Counter(items[r] for r in rows if items[r] >= 0)
        valid = sum(counts.values())
        for r in rows:
            wanted[r] = 1 - (counts[items[r]] / valid - 1 / length) if items[r] >= 0 else -1.0
    column = torch.full((len(items),), float(length))
    found = frequency_reward(torch.tensor(items, dtype=torch.float64), column, torch.tensor(groups))
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
    rewards = torch.zeros(len(items))
    advantages = group_aware(rewards, torch.tensor(groups), extras={"item": found.new_tensor(items), "choices": column})
    torch.testing.assert_close(advantages, grpo(found, torch.tensor(groups)).float())


def test_rare_items_are_favoured_and_invalid_answers_not():
    items = torch.tensor([0.0, 0.0, 0.0, 1.0, -1.0])
    advantages = group_aware(torch.zeros(5), torch.zeros(5).long(), extras={"item": items, "choices": items * 0 + 4})
    assert advantages[3] > advantages[0] == advantages[1] > advantages[4]
    even = group_aware(torch.zeros(2), torch.zeros(2).long(), extras={"item": items[2:4], "choices": items[:2] + 4})
    assert even.tolist() == [0, 0]


# ------------------------------------------------------------------------------------------------ gdpo


@examples(40)
@given(batch=grouped(st.tuples(SCORES, SCORES)), weights=st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)))
def test_gdpo_is_its_definition(batch, weights):
    rows, groups = batch
    labels = torch.tensor(groups)
    extras = {name: torch.tensor([row[k] for row in rows], dtype=torch.float64) for k, name in enumerate("ab")}
    total = [0.0] * len(rows)
    for k, weight in enumerate(weights):
        for inside in members(groups):
            r = [rows[i][k] for i in inside]
            mean, std = (statistics.fmean(r), statistics.stdev(r)) if len(r) > 1 else (0.0, 1.0)
            for i, value in zip(inside, r, strict=True):
                same = len(set(r)) == 1 and len(r) > 1
                total[i] += 0.0 if same else weight * (value - mean) / (std + 1e-6)
    wanted = torch.zeros(len(rows))
    if len(total) > 1 and any(total):
        std = statistics.stdev(total)
        wanted = torch.tensor([(t - statistics.fmean(total)) / (std + 1e-6) for t in total])
    found = gdpo(torch.zeros(len(rows)), labels, parts=["a", "b"], weights=list(weights), extras=extras)
    torch.testing.assert_close(found, wanted.float(), rtol=1e-4, atol=1e-5)


def test_gdpo_tells_apart_what_a_sum_does_not():
    """Two rollouts with the same sum of parts: GRPO gives them the same advantage, GDPO does not."""
    a, b = torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    groups = torch.zeros(4).long()
    assert grpo(a + b, groups)[0] == grpo(a + b, groups)[1]
    found = gdpo(a, groups, parts=["a", "b"], weights=[1.0, 1.0], extras={"a": a, "b": b})
    assert found[0] > found[1] > found[3]


# ----------------------------------------------------------------------------------------- redit, krpo


@pytest.mark.parametrize(("noise", "edge"), [("uniform", 0.05), ("gauss", 0.2)])
def test_redit_is_grpo_of_noisy_rewards(noise, edge):
    rewards, groups = torch.full((4000,), 0.3), torch.zeros(4000).long()
    first, second = (redit(rewards, groups, noise=noise, draw=d) for d in (1, 2))
    assert torch.equal(first, redit(rewards, groups, noise=noise, draw=1)) and not torch.equal(first, second)
    assert first.std().item() == pytest.approx(1, abs=1e-3)  # equal rewards move apart
    spread = grpo(rewards, groups) - first
    assert spread.abs().max() < edge / (0.05 / 3**0.5) + 1 if noise == "uniform" else spread.abs().max() > 2
    torch.testing.assert_close(redit(*TWO, amplitude=0.0), grpo(*TWO))


def test_krpo_reads_a_group_in_the_order_it_is_told():
    rewards = torch.tensor([0.1, 0.9, 0.4, 0.7, 0.2, 0.5], dtype=torch.float64)
    groups = torch.tensor([0, 1, 0, 1, 0, 1])
    number = torch.tensor([2, 0, 0, 1, 1, 2])
    wanted = krpo(rewards[[2, 4, 0, 1, 3, 5]], groups[[2, 4, 0, 1, 3, 5]])
    found = krpo(rewards, groups, order=number)
    torch.testing.assert_close(found[[2, 4, 0, 1, 3, 5]], wanted)
    shuffled = torch.tensor([5, 3, 1, 0, 2, 4])  # other rows, the same numbers: the same advantages
    torch.testing.assert_close(krpo(rewards[shuffled], groups[shuffled], order=number[shuffled]), found[shuffled])


# ------------------------------------------------------------------------- what verl has and runs use


def ref_rloo(r, lengths):
    return [x - (sum(r) - x) / (len(r) - 1) for x in r]


def ref_opo(r, lengths):
    baseline = sum(n * x for n, x in zip(lengths, r, strict=True)) / sum(lengths)
    return [x - baseline for x in r]


def ref_passk(r, lengths):
    best, second = sorted(r, reverse=True)[:2]
    first = r.index(best)
    return [(best - second) / (statistics.stdev(r) + 1e-6) if i == first else 0.0 for i in range(len(r))]


@pytest.mark.verl
@pytest.mark.parametrize(
    ("name", "reference"), [("rloo_vectorized", ref_rloo), ("opo", ref_opo), ("grpo_passk", ref_passk)]
)
@examples(20)
@given(batch=grouped(st.tuples(st.floats(0, 1, width=16), st.integers(1, 6)), smallest=2))
def test_verls_estimators_are_their_definitions(name, reference, batch):
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    import gapo_lab.training.registered_methods  # noqa: F401

    rows, groups = batch
    lengths = torch.tensor([length for _, length in rows])
    mask = (torch.arange(6) < lengths.unsqueeze(1)).long()
    rewards = torch.zeros(len(rows), 6)
    rewards[torch.arange(len(rows)), lengths - 1] = torch.tensor([value for value, _ in rows])
    found, _ = get_adv_estimator_fn(name)(
        token_level_rewards=rewards,
        response_mask=mask,
        index=np.array(groups),
        config=OmegaConf.create({"norm_adv_by_std_in_grpo": True}),
    )
    wanted = torch.zeros(len(rows))
    for inside in members(groups):
        r = [float(rows[i][0]) for i in inside]
        wanted[inside] = torch.tensor(reference(r, [rows[i][1] for i in inside]))
    if name == "grpo_passk":  # of several best ones the first may be any of them; the rest is float32 noise
        ties = [
            i
            for inside in members(groups)
            for i in inside
            if sum(rows[j][0] == max(rows[k][0] for k in inside) for j in inside) > 1
        ]
        assert found[ties].abs().max() == 0 if ties else True
        keep = [i for i in range(len(rows)) if i not in ties]
        torch.testing.assert_close(found[keep, 0], wanted[keep], rtol=1e-3, atol=1e-4)
    else:
        torch.testing.assert_close(found, wanted.unsqueeze(1) * mask, rtol=1e-4, atol=1e-5)


@pytest.mark.verl
def test_verls_reinforce_pp_whitens_returns_over_the_batch():
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    rewards = torch.tensor([[0.0, 0.2, 0.0], [0.0, 0.0, 0.8], [0.5, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    found, _ = get_adv_estimator_fn("reinforce_plus_plus")(
        token_level_rewards=rewards, response_mask=mask, config=OmegaConf.create({"gamma": 1.0})
    )
    returns = torch.tensor([0.2, 0.2, 0.8, 0.8, 0.8, 0.5])
    wanted = (returns - returns.mean()) / returns.std()
    torch.testing.assert_close(found[mask.bool()], wanted, rtol=1e-3, atol=1e-4)


# ------------------------------------------------------------------------------------- all of them


def test_every_file_with_a_function_of_its_name_is_a_method():
    ours = {"gapo", "grpo", "krpo", "qae", "redit", "gdpo", "group_aware", "gapo_centred", "grpo_shifted", "median"}
    assert ours | {"trimmed_mean", "huber", "rank", "shrinkage"} == set(methods.ESTIMATORS)
    assert {"gmpo"} == set(methods.LOSSES)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: gdpo(*TWO, parts=["em"], weights=[1.0], extras={"a": TWO[0]}),
            "the reward has no 'em'; it has a",
        ),
        (lambda: gdpo(*TWO, parts=["em"], weights=[1.0, 2.0], extras={"em": TWO[0]}), "as many as parts"),
        (lambda: group_aware(*TWO, extras={}), "use data=lists"),
        (lambda: group_aware(*TWO, invalid=0.5, extras={"item": TWO[0], "choices": TWO[0]}), "invalid=0.5"),
        (lambda: redit(*TWO, amplitude=-1), "amplitude=-1"),
        (lambda: redit(*TWO, noise="pink"), "noise='pink'"),
        (lambda: grpo(*TWO, eps=-1.0), "eps=-1.0"),
    ],
)
def test_wrong_settings(call, says):
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        call()
    assert "\n" not in str(error.value)
