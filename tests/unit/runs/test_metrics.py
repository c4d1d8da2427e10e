import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.runs import metrics
from gapo_lab.runs.metrics import Row

STEP = st.integers(0, 6)
NAMES = st.sampled_from(["a", "b", "c"])
ATTEMPT = st.lists(
    st.builds(Row, STEP, st.integers(0, 9).map(float), st.dictionaries(NAMES, st.integers(0, 99).map(float))),
    max_size=8,
)


def merge_by_definition(attempts):
    """Point by point: the newest row that logged it, unless a later attempt branched off before it."""
    found = {}
    for number, rows in enumerate(attempts):
        later = [min(row.step for row in other) for other in attempts[number + 1 :] if other]
        for row in rows:
            if row.step <= min(later, default=row.step):
                for name, value in row.metrics.items():
                    found[row.step, name] = (value, row.time)
    return found


@given(st.lists(ATTEMPT, max_size=4))
def test_merge_equals_its_definition(attempts):
    merged = metrics.merge(attempts)
    assert {(s, n): tuple(p) for s, at in merged.items() for n, p in at.items()} == merge_by_definition(attempts)
    assert list(merged) == sorted(merged)


@given(st.lists(ATTEMPT, max_size=3), ATTEMPT)
def test_the_last_attempt_wins_all_it_logged(attempts, last):
    merged = metrics.merge([*attempts, last])
    for step, points in metrics.merge([last]).items():
        assert points.items() <= merged[step].items()
    if last:
        assert max(merged) == max(row.step for row in last)


def test_validation_on_resuming_keeps_the_training_metrics_of_the_checkpoints_step():
    first = [
        Row(4, 1.0, {"train/reward": 0.4}),
        Row(5, 2.0, {"train/reward": 0.5, "val/id/em": 0.1}),
        Row(6, 3.0, {"train/reward": 0.9}),
    ]
    resumed = [Row(5, 9.0, {"val/id/em": 0.2})]
    assert metrics.values(metrics.merge([first, resumed])) == {
        4: {"train/reward": 0.4},
        5: {"train/reward": 0.5, "val/id/em": 0.2},
    }


@pytest.mark.parametrize(
    ("verl", "ours"),
    [
        ("val-aux/id/em/mean@1", "val/id/em"),
        ("val-aux/ood/em/mean@4", "val/ood/em"),
        ("val-aux/id_greedy/em/mean@1", "val/id/em_greedy"),
        ("val-aux/ood_greedy/similarity/mean@1", "val/ood/similarity_greedy"),
        ("val-core/id/reward/mean@1", "val/id/reward"),
        ("val-core/id/score/mean@1", "val/id/score"),
        ("critic/score/mean", "train/reward"),
        ("val-aux/id/em/best@4/mean", "val-aux/id/em/best@4/mean"),
        ("val-aux/aime/acc/mean@1", "val/aime/acc"),
        ("val-aux/aime_greedy/acc/mean@1", "val/aime/acc_greedy"),
        ("val-core/my/apples/acc/mean@1", "val-core/my/apples/acc/mean@1"),
        ("val-aux/num_turns/mean", "val-aux/num_turns/mean"),
        ("actor/pg_clipfrac", "actor/pg_clipfrac"),
        ("timing_s/step", "timing_s/step"),
    ],
)
def test_names_that_stand(verl, ours):
    assert metrics.standard_name(verl) == ours


def test_standard_makes_floats_of_scalars_and_keeps_nan():
    out = metrics.standard({"a": np.float32(0.5), "b": np.array([2]), "c": math.nan, "d": True, "e": 3})
    assert {type(v) for v in out.values()} == {float}
    assert (out["a"], out["b"], out["d"], out["e"]) == (0.5, 2.0, 1.0, 3.0) and math.isnan(out["c"])


@pytest.mark.parametrize("value", ["high", np.zeros(3), None, [1, 2]])
def test_a_metric_that_is_no_number_is_named(value):
    with pytest.raises(TypeError, match="metric x/y is not one number"):
        metrics.standard({"x/y": value})


@given(st.dictionaries(STEP, st.floats(0, 1), min_size=1))
def test_summary_of_one_curve(curve):
    out = metrics.summary({step: {"val/id/em": value} for step, value in curve.items()})
    assert out["first/id/em"] == curve[min(curve)] and out["final/id/em"] == curve[max(curve)]
    assert out["best/id/em"] == max(curve.values())
    assert out["best/id/step"] == min(s for s, v in curve.items() if v == max(curve.values()))


def test_summary_takes_each_best_apart_and_skips_nan_and_the_unmeasured():
    out = metrics.summary(
        {
            0: {"val/id/em": 0.1, "val/ood/em": 0.3, "val/id/em_greedy": 0.2},
            1: {"train/reward": 0.4, "perf/throughput": 10.0},
            2: {"val/id/em": math.nan, "val/ood/em": 0.1, "train/reward": 0.6, "perf/throughput": 30.0},
            3: {"val/id/em": 0.5, "val/ood/em": 0.2, "val/id/em_greedy": 0.1},
        }
    )
    assert (out["best/id/em"], out["best/id/step"]) == (0.5, 3)
    assert (out["best/ood/em"], out["best/ood/step"], out["final/ood/em"]) == (0.3, 0, 0.2)
    assert (out["best/id/em_greedy"], out["best/id/step_greedy"]) == (0.2, 0)
    assert (out["first/train/reward"], out["final/train/reward"]) == (0.4, 0.6)
    assert out["mean/perf/throughput"] == 20.0 and out["final/step"] == 3
    assert "best/ood/em_greedy" not in out
    assert metrics.summary({}) == {}


def test_a_metric_that_stands_wins_over_verls_and_both_are_kept():
    assert metrics.standard({"critic/score/mean": 0.4, "train/reward": 0.5}) == {
        "critic/score/mean": 0.4,
        "train/reward": 0.5,
    }
    assert metrics.standard({"critic/score/mean": 0.4}) == {"train/reward": 0.4}


def test_a_summary_needs_few_of_the_metrics():
    at = {"val/id/em": 0.5, "val/dev/acc_greedy": 0.25, "train/reward": 1.0, "perf/throughput": 9.0, "actor/loss": 3.0}
    merged = {1: at, 2: {"actor/loss": 2.0}}
    few = {step: {name: found[name] for name in metrics.of_summary(found)} for step, found in merged.items()}
    assert metrics.summary(few) == metrics.summary(merged) and "actor/loss" not in few[1]
    with pytest.raises(TypeError):
        metrics.of_summary({"actor/loss": None})
