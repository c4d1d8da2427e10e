"""Intervals, comparisons and families, each against its definition or scipy's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import examples
from scipy import stats

from analysis.results.measurements import Measured, Trials
from analysis.statistics import families, inference, intervals, pooling, two_samples
from analysis.statistics.two_samples import Difference, permuted_p, welch
from gapo_lab.errors import UserError
from gapo_lab.runs.claims import Claim, read

VALUES = st.lists(st.floats(-5, 5).filter(lambda x: x == 0 or abs(x) > 1e-3), min_size=2, max_size=6)


# ------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_intervals_hold_the_true_mean_about_as_often_as_they_say(n):
    rows = np.random.default_rng(1).normal(size=(2000, n))
    covered = np.mean([low <= 0 <= high for low, high in intervals.intervals(rows.tolist())])
    assert covered >= (0.92 if n == 10 else 0.94)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=9))
def test_the_interval_of_few_values_is_scipys(values):
    low, high = intervals.intervals([values])[0]
    mean, sd = np.mean(values), np.std(values, ddof=1)
    theirs = stats.t.interval(0.95, len(values) - 1, mean, sd / math.sqrt(len(values))) if sd else (mean, mean)
    assert (low, high) == pytest.approx(theirs, abs=1e-9)


def test_the_interval_of_many_values_is_a_bootstraps():
    values = np.random.default_rng(3).exponential(size=12)
    low, high = intervals.intervals([values.tolist()])[0]
    means = np.random.default_rng(4).choice(values, (20_000, 12)).mean(axis=1)
    wanted = np.quantile(means, [intervals.tail(12), 1 - intervals.tail(12)])
    assert [low, high] == pytest.approx(wanted, abs=0.05)
    assert high - values.mean() > values.mean() - low, "it follows the skew"


def test_intervals_depend_on_their_own_row_alone():
    a, b = [0.1, 0.2, 0.4], [0.5, 0.1, 0.3]
    assert intervals.intervals([a, b])[1] == intervals.intervals([b])[0]
    long = [[float(i * i % 7) for i in range(start, start + 11)] for start in range(3)]
    assert intervals.intervals(long)[1] == intervals.intervals([long[1]])[0]
    assert all(map(math.isnan, intervals.intervals([[1.0]])[0]))


def test_sampling_error():
    assert intervals.sampling_error(0.2, 132) == pytest.approx(0.0348, abs=1e-4)
    assert intervals.sampling_error(0.2, None) is None


# ------------------------------------------------------------------------------------------ two methods


@examples(60)
@given(ours=VALUES, theirs=VALUES)
def test_the_t_test_is_scipys(ours, theirs):
    found = welch(ours, theirs)
    if np.ptp(ours) == np.ptp(theirs) == 0:
        assert found.p == (1.0 if ours[0] == theirs[0] else 0.0) and found.interval == (found.delta, found.delta)
        return
    wanted = stats.ttest_ind(ours, theirs, equal_var=False)
    assert found.p == pytest.approx(wanted.pvalue, abs=1e-9)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval()), abs=1e-9)


@examples(25)
@given(ours=VALUES, theirs=VALUES)
def test_the_permutation_of_labels_is_scipys(ours, theirs):
    wanted = stats.permutation_test(
        (np.array(ours), np.array(theirs)),
        lambda a, b, axis: abs(a.mean(axis) - b.mean(axis)),
        n_resamples=np.inf,
        vectorized=True,
        alternative="greater",
    )
    assert permuted_p([(ours, theirs)]) == pytest.approx(wanted.pvalue, abs=1e-12)


def test_labels_of_five_and_five_can_give_less_than_one_in_a_hundred():
    assert permuted_p([([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])]) == pytest.approx(2 / 252)
    many = np.random.default_rng(2).normal(size=(2, 30)) + np.array([[0.5], [0.0]])
    assert permuted_p([tuple(many.tolist())]) == pytest.approx(welch(*many).p, abs=0.02), "drawn labelings"


def test_labels_are_permuted_within_each_model():
    """Two models of two seeds: all 6 x 6 labelings, by hand."""
    strata = [([3.0, 4.0], [1.0, 2.0]), ([10.0, 9.0], [9.5, 8.0])]

    def gap(values, ours):
        return sum(values[i] for i in ours) / 2 - sum(values[i] for i in range(4) if i not in ours) / 2

    ways = [[gap([*a, *b], ours) for ours in itertools.combinations(range(4), 2)] for a, b in strata]
    sums = [x + y for x in ways[0] for y in ways[1]]
    assert permuted_p(strata) == pytest.approx(sum(abs(s) >= abs(sums[0]) - 1e-9 for s in sums) / 36)
    assert math.isnan(permuted_p([]))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_improvement_is_the_share_of_won_pairs(ours, theirs):
    won = [1 if a > b else 0.5 if a == b else 0 for a in ours for b in theirs]
    assert two_samples.improvement(ours, theirs) == pytest.approx(sum(won) / len(won))


# ---------------------------------------------------------------------------------------------- pooling


def test_pooled_over_two_models_by_hand():
    found = pooling.pooled([Difference(1.0, 0.3, 8.0), Difference(-2.0, 0.4, 5.0)])
    assert found.delta == -0.5 and found.error == pytest.approx(0.25)
    squares = (0.09 / 4, 0.16 / 4)
    assert found.freedom == pytest.approx(sum(squares) ** 2 / (squares[0] ** 2 / 8 + squares[1] ** 2 / 5))


def test_two_models_that_differ_are_told_by_welchs_t_of_their_gap():
    parts = [welch([1.0, 1.2, 1.4], [0.1, 0.3, 0.2]), welch([0.9, 0.7, 1.0], [1.1, 1.6, 1.2])]
    gap = parts[0].delta - parts[1].delta
    squares = [(part.error**2, part.freedom) for part in parts]
    wanted = Difference(gap, math.sqrt(sum(s for s, _ in squares)), two_samples.freedom(squares))
    assert pooling.interaction_p(parts) == pytest.approx(wanted.p)
    assert pooling.apart(*reversed(parts)) == wanted
    assert math.isnan(pooling.interaction_p(parts[:1]))


def test_from_five_models_on_they_are_a_sample_of_models():
    deltas = [0.1, 0.4, -0.2, 0.5, 0.3]
    found = pooling.pooled([Difference(delta, 1e-6, 8.0) for delta in deltas])
    assert found.p == pytest.approx(stats.ttest_1samp(deltas, 0).pvalue)


def test_pooling_keeps_its_level_whether_models_agree_or_not():
    """Equal methods, two models of five seeds: 5% of pooled and of interaction tests reject."""
    rng = np.random.default_rng(5)
    pooled_p, apart = [], []
    for _ in range(800):
        parts = [welch(rng.normal(size=5), rng.normal(scale=2, size=5)) for _ in range(2)]
        pooled_p.append(pooling.pooled(parts).p)
        apart.append(pooling.interaction_p(parts))
    for values in (pooled_p, apart):
        assert 0.02 < np.mean(np.array(values) <= 0.05) < 0.075


def test_seeds_that_go_together_over_models_are_told():
    up, down = {0: 1.0, 1: 2.0, 2: 4.0}, {0: -1.0, 1: -2.0, 2: -4.0}
    assert pooling.seed_correlation([[up, up]]) == pytest.approx(1)
    assert pooling.seed_correlation([[up, up], [up, down]]) == pytest.approx(0)
    assert math.isnan(pooling.seed_correlation([[up], [{5: 1.0}, down]]))


# --------------------------------------------------------------------------------------------- families


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(values):
    """A hypothesis is rejected where every set of hypotheses that holds it is: the largest of the sets' p-values."""
    sets = [s for size in range(1, len(values) + 1) for s in itertools.combinations(range(len(values)), size)]
    of_sets = {s: min(1.0, len(s) * min(values[i] for i in s)) for s in sets}
    want = [max(p for s, p in of_sets.items() if i in s) for i in range(len(values))]
    assert families.holm(values) == pytest.approx(want)


def comparison(low=0.1, high=0.2, p=0.01, metric="id", method="a", model="nano", n=5, **more) -> inference.Comparison:
    return inference.Comparison(metric, model, method, "b", n, n, (low + high) / 2, low, high, p, p, 0.5, **more)


def test_nothing_is_called_better_that_was_not_claimed_and_decided():
    assert comparison().verdict == "exploratory"
    assert comparison(is_claim=True, p_corrected=0.02).verdict == "better"
    assert comparison(-0.2, -0.1, is_claim=True, p_corrected=0.02).verdict == "worse"
    assert comparison(is_claim=True, p_corrected=0.08).verdict == "not decided"
    assert comparison(-0.1, 0.2, is_claim=True, p_corrected=0.02).verdict == "no difference found"
    assert comparison(math.nan, math.nan, math.nan, n=1).verdict.startswith("one seed")
    assert comparison(n=0).verdict == "no runs"
    assert comparison(is_no_result=True, is_claim=True, p_corrected=0.01).verdict == "no result"


def test_a_later_family_counts_only_when_all_before_it_are_decided():
    claims = [Claim(m, "b", metric) for metric in ("id", "ood") for m in ("a", "c")]
    shown = {
        "id": [comparison(p=0.01), comparison(p=0.03, method="c"), comparison(p=0.0001, method="d")],
        "ood": [comparison(p=0.001, metric="ood"), comparison(p=0.04, metric="ood", method="c")],
    }
    found = {
        m: [(c.method, c.is_claim, c.p_corrected) for c in cs] for m, cs in families.confirmed(shown, claims).items()
    }
    assert found["id"][:2] == [("a", True, pytest.approx(0.02)), ("c", True, pytest.approx(0.03))]
    assert found["id"][2][:2] == ("d", False)
    assert found["ood"] == [("a", True, pytest.approx(0.03)), ("c", True, pytest.approx(0.04))]
    # one of the first family is missing: nothing that follows is decided
    shown["id"] = shown["id"][:1]
    assert [c.p_corrected for c in families.confirmed(shown, claims)["ood"]] == [1.0, 1.0]


def test_a_claim_is_answered_by_the_pooled_comparison_or_the_only_one():
    pooled, single, other = comparison(model=None), comparison(), comparison(model="large")
    claim = Claim("a", "b", "id")
    assert families.answer([single, other, pooled], claim) is pooled
    assert families.answer([single], claim) is single
    assert families.answer([single, other], claim) is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("a over b on c", "must be a list"),
        (["a vs b on c"], "a vs b on c: must be METHOD over BASELINE on METRIC"),
        (["a over a on c"], "two methods"),
        (["a over b on c", "a over b on c"], "twice"),
    ],
)
def test_a_claim_that_cannot_be_read_is_named(lines, says):
    with pytest.raises(UserError, match=says):
        read(lines)
    assert read(None) == read([]) == ()
    assert [str(claim) for claim in read(["a over b on val/id/em"])] == ["a over b on val/id/em"]


def test_compare_pools_the_models_that_have_two_seeds_of_both():
    def trials(*values: float) -> Trials:
        return Trials(None, {}, dict(enumerate(values)))

    wanted = [
        ("m", "a", "b", trials(1, 2, 3), trials(1, 1, 2, 2)),
        ("n", "a", "b", trials(2, 3), trials(1, 4)),
        ("o", "a", "b", trials(9), trials(1, 2)),
    ]
    found = inference.compare(Measured("m", "best", {}), wanted)
    assert [(c.model, c.n, c.against, c.models) for c in found] == [
        ("m", 3, 4, 1),
        ("n", 2, 2, 1),
        ("o", 1, 2, 1),
        (None, 5, 6, 2),
    ]
    assert found[3].delta == pytest.approx((0.5 + 0) / 2) and math.isnan(found[2].p)
    assert 0 <= found[3].interaction <= 1 and math.isnan(found[0].interaction)
