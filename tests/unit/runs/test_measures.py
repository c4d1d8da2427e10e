"""What a run is about: which of the numbers of its reward, on which test sets, and how that is shown."""

from __future__ import annotations

import pytest

from gapo_lab.errors import UserError
from gapo_lab.runs import measures, metrics, summaries
from gapo_lab.runs.folder import RunFolder

OWN = {
    0: {"val/id/acc": 0.25, "val/aime/acc": 0.0, "val/id/acc_greedy": 0.5, "val/id/reward": 0.3, "val/id/steps": 7.0},
    5: {"train/reward": 0.4, "val/id/acc": 0.75, "val/aime/acc": 0.5, "val/id/acc_greedy": 0.5, "val/id/reward": 0.6},
}


def test_the_first_of_the_usual_is_the_main_measure():
    assert measures.main_measure(["val/id/score", "val/id/acc", "val/id/em", "train/em"]) == "em"
    assert measures.main_measure(["val/id/score", "val/id/acc", "val/id/reward"]) == "acc"
    assert measures.main_measure(["val/id/reward", "val/id/score"]) == "score"
    assert measures.main_measure(["train/acc"]) is None
    assert measures.main_measure(["val/id/em", "val/id/passed_greedy"], "passed") == "passed"
    with pytest.raises(
        UserError, match="metric=acc: the reward does not return it. It returns em, score. Write metric=em."
    ):
        measures.main_measure(["val/id/em", "val/id/score"], "acc")


def test_a_run_ends_where_its_reward_never_returns_the_number_that_it_is_about():
    returned = {"reward": [0.5, 1.0], "acc": [None, 1.0], "note": ["a text", "another"]}
    measures.check_returned(None, returned)
    measures.check_returned("acc", returned)
    for asked in ("accuracy", "note"):
        with pytest.raises(UserError, match=f"metric={asked}: .* It returns acc, reward. Write metric=acc."):
            measures.check_returned(asked, returned)


def test_a_summary_is_about_it_on_every_test_set():
    out = metrics.summary(OWN)
    assert (out["first/id/acc"], out["final/id/acc"], out["best/id/acc"], out["best/id/step"]) == (0.25, 0.75, 0.75, 5)
    assert (out["best/aime/acc"], out["best/aime/step"], out["best/id/step_greedy"]) == (0.5, 5, 0)
    assert not [name for name in out if "reward" in name and "train" not in name]
    assert measures.of_summary(out) == "acc" and measures.sets_of(out) == ["id", "aime"]
    assert measures.measured_in(out) == ["id/acc", "id/acc_greedy", "aime/acc"]
    assert measures.metrics_of(out) == ["val/id/acc", "val/aime/acc"]


def test_another_measure_stands_beside_exact_match():
    merged = {0: {"val/id/em": 0.5, "val/id/similarity": 0.75}, 1: {"val/id/em": 0.25, "val/id/similarity": 1.0}}
    plain, asked = metrics.summary(merged), metrics.summary(merged, "similarity")
    assert measures.of_summary(plain) == "em" and "best/id/similarity" not in plain
    assert measures.of_summary(asked) == "similarity"
    assert (asked["best/id/step"], asked["best/id/em"], plain["best/id/step"]) == (1, 0.5, 0)
    assert measures.metrics_of(sorted(asked)) == ["val/id/similarity"]
    assert measures.metrics_of(sorted(plain)) == ["val/id/em"]
    beside = ["best/id/em", "best/id/em_expected", "best/dev/em", "best/ood/em", "best/id/em_greedy"]
    assert measures.metrics_of(beside) == ["val/id/em", "val/ood/em"]
    assert measures.metrics_of(["final/step", "first/train/reward"]) == []


def test_sets_stand_in_one_order_and_shares_in_percent():
    assert measures.in_order(["aime", "ood", "id", "dev", "aime"]) == ["id", "dev", "ood", "aime"]
    assert [measures.set_label(name) for name in ("id", "ood", "aime")] == ["ID", "OOD", "aime"]
    assert measures.shown("acc", 0.25) == "25.0%" and measures.shown("score", 0.25) == "0.250"


def test_expected_exact_match_stands_in_for_exact_match_alone():
    assert [measures.expected(name) for name in ("em", "val/id/em")] == ["em_expected", "val/id/em_expected"]
    for name in ("acc", "val/id/em_greedy", "val/id/system", "em/acc"):
        assert measures.expected(name) == name


def test_a_finished_run_is_read_anew_for_another_measure(tmp_path):
    folder = RunFolder.open(tmp_path, "a1", {"key": "a1"})
    attempt = folder.start_attempt()
    for step, at in OWN.items():
        attempt.append_metrics(step, at)
    folder.write_summary({**metrics.summary(OWN), "wall_seconds": 7.0})
    before = folder.summary()
    summaries.be_about(folder, None)
    summaries.be_about(folder, "acc")
    assert folder.summary() == before and measures.best(before) == 0.75
    summaries.be_about(folder, "steps")
    now = folder.summary()
    assert measures.best(now) == 7.0 and now["wall_seconds"] == 7.0 and now["final/step"] == 5
    assert "best/id/acc" not in now and now["final/train/reward"] == 0.4
    with pytest.raises(UserError, match="metric=em: the reward does not return it"):
        summaries.be_about(folder, "em")
