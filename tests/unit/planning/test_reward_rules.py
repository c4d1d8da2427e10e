"""What a plan says of a reward of one's own, without running it; and what of it is in the run key."""

from __future__ import annotations

import pytest

from gapo_lab.errors import UserError
from gapo_lab.planning import cost
from gapo_lab.planning.plan import Action, draft, make
from gapo_lab.planning.plan_notes import notes
from gapo_lab.search.settings import make_search

GOOD = "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    return 1.0\n"
ROWS = '{"prompt": "1 + 1 =", "reward_model": {"ground_truth": "2"}}\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "keyword.py").write_text("def f(solution_str, ground_truth, **others):\n    return 1.0\n")
    (tmp_path / "maybe.py").write_text(
        "try:\n    from good import compute_score\nexcept ImportError:\n    compute_score = 0\n"
    )
    (tmp_path / "a b=c,ü.py").write_text(GOOD)
    (tmp_path / "partial.py").write_text("from functools import partial\nscore = partial(print)\n")
    (tmp_path / "narrow.py").write_text("def compute_score(solution_str, ground_truth):\n    return 1.0\n")
    (tmp_path / "words.py").write_text(GOOD.replace("1.0", '{"score": 1.0, "words": len(solution_str)}'))
    (tmp_path / "scoreless.py").write_text(GOOD.replace("1.0", '{"acc": 1.0}'))
    (tmp_path / "unsure.py").write_text(GOOD.replace("1.0", "{name: 1.0 for name in NAMES}"))
    (tmp_path / "broken.py").write_text("def compute_score(:\n")
    (tmp_path / "train.jsonl").write_text(ROWS * 40)
    (tmp_path / "id.jsonl").write_text(ROWS)
    return tmp_path


def planned(*words: str):
    (run,) = draft([words])
    return run


def own(*words: str):
    return planned("data=parquet", "data.train=train.jsonl", "data.id=id.jsonl", *words)


@pytest.mark.parametrize(
    "word", ["good.py", "good.py:compute_score", "keyword.py:f", "partial.py:score", "maybe.py", '"a b=c,ü.py"']
)
def test_a_reward_that_can_be_called(folder, word):
    run = own(f"reward={word}")
    assert run.spec, run.why
    assert f"reward={word.strip(chr(34))}" in run.name


@pytest.mark.slow  # words that name files of the user are composed anew each time
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "data=parquet: its rows do not say how an answer is scored. Give reward=FILE.py:function"),
        (("reward=no.py",), "reward=no.py: no such file"),
        (("reward=good.py:scor",), "reward=good.py:scor: no function scor in it. Write reward=good.py:compute_score"),
        (("reward=good:scor",), "reward=good:scor: no function scor in it. Write reward=good:compute_score"),
        (("reward=narrow:compute_score",), r"narrow:compute_score: compute_score\(\) does not take data_source"),
        (("reward=json:dumps",), r"reward=json:dumps: dumps\(\) needs obj, which verl does not give"),
        (("reward=narrow.py",), r"compute_score\(\) does not take data_source, extra_info"),
        (("reward=broken.py",), "reward=broken.py, line 1: is not Python"),
        (("reward=gsm8k", "metric=em"), "metric=em: reward=gsm8k does not return it. It returns acc, answered, score"),
        (("reward=edit", "metric=acc"), "metric=acc: reward=edit does not return it"),
        (("reward=words.py", "metric=word"), "metric=word: .* It returns score, words. Write metric=words."),
        (("reward=words:compute_score", "metric=em"), "metric=em: .* It returns score, words."),
        (("reward=scoreless.py",), "^reward=scoreless.py: returns acc, and .* called score. Add score to the dict.$"),
        (
            ("reward=scoreless.py", "metric=em"),
            "Add score to the dict.\nmetric=em: .* It returns acc, score. Write metric=",
        ),
        (("reward=good.py", "metric=em"), "metric=em: reward=good.py does not return it. It returns score, acc. "),
        (("reward=words.py", "algo=dapo", "algorithm.filter_groups.metric=acc"), "there are score, words"),
        (("reward=good.py", "reward.timeout=0"), "reward.timeout=0: must be a number of seconds above 0"),
        (("reward=gsm8k", "reward.timeout=5"), "reward.timeout=5: is of rewards of your own; reward=gsm8k ships"),
        (("reward=good.py", "data.prompt_key=question"), "data.prompt_key=question: no such column in train.jsonl"),
        (("reward=good.py", "data.id=no.jsonl"), "data.id=no.jsonl: no such file"),
    ],
)
def test_what_cannot_work_is_said(folder, words, said):
    import re

    run = own(*words)
    assert run.action is Action.INVALID and re.search(said, run.why), run.why


def test_what_a_function_needs_beside_verls_words_is_given_by_reward_kwargs(folder):
    (folder / "more.py").write_text(GOOD.replace("extra_info=None", "extra_info, model, *, url"))
    run = own("reward=more.py")
    assert "more.py: compute_score() needs model, url, which verl does not give" in run.why
    given = "+reward.custom_reward_function.reward_kwargs"
    assert own("reward=more.py", f"{given}.model=a", f"{given}.url=b").spec


def test_fewer_rows_than_a_batch(folder):
    run = own("reward=good.py", "data.train_size=5")
    assert "data.train=train.jsonl: has 5 rows, less than one batch of data.train_batch_size=32 prompts" in run.why
    # what is proposed is accepted
    mini = "actor_rollout_ref.actor.ppo_mini_batch_size"
    assert f"Give data.train_batch_size=5 {mini}=5, or more rows" in run.why
    assert own("reward=good.py", "data.train_size=5", "data.train_batch_size=5", f"{mini}=5").spec
    run = own("reward=good.py", "data.train_size=31")
    assert "Give data.train_batch_size=16, or more rows" in run.why
    assert own("reward=good.py", "data.train_size=31", "data.train_batch_size=16").spec


@pytest.mark.slow  # words that name files of the user are composed anew each time
def test_the_key_holds_the_content_and_not_the_place(folder):
    key = own("reward=good.py").key
    (folder / "elsewhere").mkdir()
    for name in ("good.py", "train.jsonl", "id.jsonl"):
        (folder / "elsewhere" / name).write_text((folder / name).read_text())
    moved = [f"data.{name}=elsewhere/{name}.jsonl" for name in ("train", "id")]
    assert planned("data=parquet", *moved, "reward=elsewhere/good.py").key == key
    assert own("reward=good.py", "reward.timeout=5", "metric=acc").key == key
    # verl's own spelling is the same run
    assert own("reward.custom_reward_function.path=good.py").key == key
    assert own("reward=edit").key != key
    (folder / "good.py").write_text(GOOD.replace("1.0", "0.5"))
    assert own("reward=good.py").key != key


def test_the_same_reward_under_its_name_is_the_same_run(folder):
    assert planned("reward=edit").key == planned().key


@pytest.mark.slow  # words that name files of the user are composed anew each time
def test_a_plan_counts_the_rows(folder):
    (folder / "far.jsonl").write_text(ROWS * 3)
    run = own(
        "reward=good.py", "data.ood={far: far.jsonl}", "data.dev=far.jsonl", "data.dev_size=2", "data.greedy=true"
    )
    assert cost.rows_here(run.settings) == {"train": 40, "id": 1, "dev": 2, "far": 3}
    inputs = cost.CostInputs.of(run.settings)
    assert inputs.test_tasks == 2 * (1 + 3) + 2
    epochs = {**run.settings, "trainer.total_training_steps": None, "trainer.total_epochs": 3}
    assert cost.steps({**epochs, "data.train_batch_size": 16}) == 3 * (40 // 16)
    # another file is not measured by the runs of this one
    key = cost.cost_key(run.valid_spec.as_dict())
    (folder / "train.jsonl").write_text(ROWS * 41)
    assert cost.cost_key(own(*run.words[3:]).valid_spec.as_dict()) != key


def test_what_a_shipped_reward_is_about(folder):
    assert own("reward=gsm8k").settings["metric"] == "acc" and own("reward=edit").settings["metric"] is None
    assert own("reward=unit_tests", "metric=passed").settings["metric"] == "passed"


def test_a_search_asks_what_a_reward_of_ones_own_is_about(folder):
    words = ["+sweep=search", "tau=interval(0.1,0.9)", "data=parquet", "data.train=train.jsonl", "data.id=id.jsonl"]
    words += ["data.dev=id.jsonl", "reward=good.py"]
    with pytest.raises(UserError, match="reward=good.py need not return em. Say which .*metric=acc"):
        make_search(words)
    (objective,) = make_search([*words, "metric=acc"]).objectives
    assert objective.metric == "val/dev/acc"


def test_a_metric_that_the_text_does_not_tell_of_is_left_to_the_doctor(folder):
    def noted(*words: str) -> list[str]:
        run = own(*words)
        assert run.spec, run.why
        return [note for note in notes(make([run])) if "model=nano" not in note]

    (line,) = noted("reward=unsure.py", "metric=em")
    assert "whether reward=unsure.py returns metric=em cannot be read" in line and "gapo_lab doctor" in line
    assert not noted("reward=unsure.py") and not noted("reward=words.py", "metric=words")
