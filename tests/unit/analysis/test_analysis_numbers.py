"""Step-delta, statistics, the checker and what is printed, each against its definition."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import check
from analysis.paper import published
from analysis.render import latex, plain_text
from analysis.results import step_delta
from analysis.results.curves import Curve
from analysis.results.measurements import Measured, Trials, guess_cases, number
from analysis.statistics import inference
from analysis.tables.table import Entry, Line, Table, ranked
from gapo_lab.errors import UserError

SHARES = st.floats(0, 1, allow_nan=False)


def curve(*points: tuple[int, float]) -> Curve:
    return Curve(np.array([s for s, _ in points]), np.array([v for _, v in points]))


def test_step_delta_on_hand_made_curves():
    baseline = [curve((0, 0.1), (10, 0.3), (20, 0.5), (30, 0.5), (40, 0.4))]
    assert step_delta.step_delta([curve((0, 0.1), (10, 0.5), (20, 0.6))], baseline) == -10
    assert step_delta.step_delta([curve((0, 0.1), (25, 0.4), (35, 0.5))], baseline) == 15
    assert step_delta.step_delta([curve((0, 0.1), (40, 0.49))], baseline) is None
    assert step_delta.step_delta(baseline, baseline) == 0
    assert step_delta.step_delta([], baseline) is None


def test_step_delta_is_of_mean_curves_not_of_single_trials():
    lucky = [curve((0, 0.0), (10, 1.0)), curve((0, 0.0), (10, 0.0), (20, 1.0))]
    baseline = [curve((0, 0.0), (10, 0.5))] * 2
    assert step_delta.step_delta(lucky, baseline) == 0


@given(st.lists(SHARES, min_size=1, max_size=8), st.lists(SHARES, min_size=1, max_size=8))
def test_step_delta_against_its_words(ours, theirs):
    found = step_delta.step_delta([curve(*enumerate(ours))], [curve(*enumerate(theirs))])
    best = max(theirs)
    reached = [s for s, v in enumerate(ours) if v >= best - step_delta.ROUNDING]
    first = next(s for s, v in enumerate(theirs) if v >= best - step_delta.ROUNDING)
    assert found == (reached[0] - first if reached else None)


@settings(max_examples=30)
@given(st.lists(st.integers(-50, 50).map(lambda n: n / 100), min_size=2, max_size=6))
def test_permutation_p_counts_the_signs(differences):
    observed = abs(sum(differences))
    flips = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    want = sum(one >= observed - 1e-9 for one in flips) / len(flips)
    assert inference.permutation_p(differences) == pytest.approx(want)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_is_monotone_and_at_most_bonferroni(values):
    out = inference.holm(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(out)[order]) >= -1e-12).all()
    assert all(v <= o <= min(1, v * len(values)) + 1e-12 for v, o in zip(values, out, strict=True))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_improvement_is_the_share_of_won_pairs(ours, theirs):
    won = [1 if a > b else 0.5 if a == b else 0 for a in ours for b in theirs]
    assert inference.improvement(ours, theirs) == pytest.approx(sum(won) / len(won))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10])
def test_intervals_hold_the_true_mean_about_as_often_as_they_say(n):
    """Of 2, 3, 4, 5, 10 normal trials plain percentiles cover 50, 75, 79, 83, 91 %, these 95, 95, 95, 92, 95 %."""
    rows = np.random.default_rng(1).normal(size=(1500, n))
    covered = np.mean([low <= 0 <= high for low, high in inference.intervals(rows.tolist())])
    assert covered >= {5: 0.90, 10: 0.92}.get(n, 0.93)
    plain = [np.quantile(np.random.default_rng(0).choice(r, (500, n)).mean(1), [0.025, 0.975]) for r in rows[:400]]
    assert np.mean([low <= 0 <= high for low, high in plain]) < covered


def test_intervals_depend_on_their_own_row_alone():
    a, b = [0.1, 0.2, 0.4], [0.5, 0.1, 0.3]
    assert inference.intervals([a, b])[1] == inference.intervals([b])[0]
    assert all(map(math.isnan, inference.intervals([[1.0]])[0]))


def comparison(low: float, high: float, p: float, n: int = 5) -> inference.Comparison:
    return inference.Comparison("m", "nano", "a", "b", n, (low + high) / 2, low, high, p, 0.5, p)


def test_nothing_is_called_better_that_is_not():
    assert comparison(0.1, 0.2, 0.01).verdict == "better"
    assert comparison(-0.2, -0.1, 0.01).verdict == "worse"
    assert comparison(-0.1, 0.2, 0.01).verdict == "not told apart"
    assert comparison(0.1, 0.2, 0.0625).verdict == "interval only"
    assert comparison(math.nan, math.nan, math.nan, 1).verdict.startswith("one pair")


def test_sampling_error():
    assert inference.sampling_error(0.2, 132) == pytest.approx(0.0348, abs=1e-4)
    assert inference.sampling_error(0.2, None) is None


@given(st.integers(2, 5000), st.data())
def test_guessed_cases_divide_the_true_number(n, data):
    shares = [k / n for k in data.draw(st.lists(st.integers(0, n), min_size=1, max_size=20))]
    guessed = guess_cases(shares)
    assert guessed is None or n % guessed == 0


def test_curves_that_are_no_shares_have_no_cases():
    assert guess_cases([0.123456789, 0.7312987123]) is None


@given(st.integers(1, 400), st.integers(1, 5), st.data())
def test_every_mean_that_is_possible_is_taken_as_possible(cases, trials, data):
    k = data.draw(st.integers(0, cases * trials))
    assert k in check.possible(round(100 * k / (cases * trials), 2), cases, trials)


def test_a_table_of_ones_own_is_checked(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "table: '9'\nkind: accuracy\ntest_cases: 10\ntrials: 1\ncolumns: [nano]\n"
        "rows: {grpo: [30.0], gapo_grpo: [45.0]}\n"
        "deltas: [{name: Improve., of: gapo_grpo, over: grpo, kind: percent, values: [50.0]}]\n"
    )
    assert check.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert "45.00" in out and "40.00" in out and "\n1 misprint in table 9" in out


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "table: 1\nkind: x\ncolumns: [a]\nrows: {}",
        "table: 1\nkind: accuracy\ncolumns: [a]\nrows: {b: [1, 2]}",
        "a: [",
        "",
    ],
)
def test_a_broken_table_is_named(tmp_path, text):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="t.yaml"):
        published.load(path)


def test_best_and_second_by_unrounded_value():
    lines = [Line(n, (Entry("1.00", v),)) for n, v in (("a", 1.001), ("b", 1.002), ("c", 0.5), ("d", 1.002))]
    assert [line.entries[0].rank for line in ranked(lines)] == [2, 1, 0, 1]


@given(st.text(max_size=30))
@example("-\0")
@example("a---b")
@example("")
def test_any_name_is_escaped_for_latex(text):
    out = latex.escape(text)
    rest = out
    for known in [*latex._SPECIAL.values(), "-{}"]:
        rest = rest.replace(known, "")
    assert not set(rest) & set("&%$#_{}~^\\")
    assert "--" not in out or "–" in text


@settings(max_examples=15)
@given(st.integers(1, 3 * latex.COLUMNS), st.lists(st.integers(1, 60), min_size=1, max_size=3), st.data())
def test_a_large_table_is_cut_and_nothing_is_lost(width, blocks, data):
    spans, left = [], width
    while left:
        spans.append(data.draw(st.integers(1, left)))
        left -= spans[-1]
    lines = [
        tuple(Line(f"r{b}.{r}", tuple(Entry(f"{b}/{r}/{c}") for c in range(width))) for r in range(rows))
        for b, rows in enumerate(blocks)
    ]
    table = Table("t", "T", ("",), (tuple((f"h{i}", n) for i, n in enumerate(spans)),), tuple(lines))
    text = latex.table(table)
    for line in table.lines:
        for entry in line.entries:
            assert text.count(f"& {entry.text} ") == 1
    for part in text.split(r"\begin{tabular}")[1:]:
        columns = int(part.partition("*{")[2].partition("}")[0])
        heads = re.findall(r"\\multicolumn\{(\d+)\}", part)
        assert sum(map(int, heads)) == columns <= latex.COLUMNS and part.count(r" \\") <= latex.LINES + 1


def test_numbers_that_round_to_nothing_have_no_sign():
    assert [number(v, 2, True) for v in (-0.001, 0.001, 0.01, -1.0)] == ["0.00", "0.00", "+0.01", "-1.00"]
    assert Measured("perf/throughput", "mean", {}).text(1234.567) == "1235"
    assert Measured("actor/pg_clipfrac", "mean", {}).text(0.00012346) == "0.0001235"


def test_a_table_as_csv_and_as_text():
    table = Table(
        "t",
        "T",
        ("Name",),
        ((("x", 1), ("y", 1)),),
        ((Line("a,b", (Entry("1.00", 1.004, rank=1), Entry("–", marks=("a",)))),),),
        (("a", "gone"),),
    )
    assert plain_text.to_csv(table).splitlines() == [
        "Name,x,y,x (unrounded),y (unrounded)",
        '"a,b",1.00,–[a],1.004,',
        "# a: gone",
    ]
    assert "1.00*" in plain_text.to_text(table) and "a: gone" in plain_text.to_text(table)


def test_in_a_terminal_points_stand_below_points():
    entries = [
        Entry("9.50", 9.5, "0.1"),
        Entry("10.00", 10, "0.2", rank=1),
        Entry("–"),
        Entry("+0.50", 0.5, marks=("°",)),
    ]
    lines = tuple(Line(f"row {i}", (entry,)) for i, entry in enumerate(entries))
    text = plain_text.to_text(Table("t", "T", ("Name",), ((("a long head", 1),),), (lines,)))
    rows = [line for line in text.splitlines() if line.startswith("row")]
    assert len({row.index(".") for row in rows if "." in row}) == 1
    assert max(map(len, text.splitlines())) <= 30 and "* best of its column" in text


def test_the_permutation_test_is_scipys():
    found = stats.permutation_test(([1.0, 2, 3, 4, 5],), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert inference.permutation_p([1, 2, 3, 4, 5]) == found.pvalue == 2 / 32
    many = np.random.default_rng(2).normal(0.3, 1, size=40)
    theirs = stats.permutation_test((many,), np.mean, permutation_type="samples", n_resamples=9999, rng=1)
    assert inference.permutation_p(many.tolist()) == pytest.approx(theirs.pvalue, abs=0.02)


@settings(max_examples=30)
@given(st.lists(st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3), min_size=2, max_size=9))
def test_the_permutation_test_is_scipys_on_any_differences(differences):
    theirs = stats.permutation_test((np.array(differences),), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert inference.permutation_p(differences) == pytest.approx(theirs.pvalue, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(values):
    """A hypothesis is rejected where every set of hypotheses that holds it is: the largest of the sets' p-values."""
    sets = [s for size in range(1, len(values) + 1) for s in itertools.combinations(range(len(values)), size)]
    of_sets = {s: min(1.0, len(s) * min(values[i] for i in s)) for s in sets}
    want = [max(p for s, p in of_sets.items() if i in s) for i in range(len(values))]
    assert inference.holm(values) == pytest.approx(want)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=4))
def test_the_interval_of_few_values_is_scipys(values):
    low, high = inference.intervals([values])[0]
    mean, sd = np.mean(values), np.std(values, ddof=1)
    theirs = stats.t.interval(0.95, len(values) - 1, mean, sd / math.sqrt(len(values))) if sd else (mean, mean)
    assert (low, high) == pytest.approx(theirs, abs=1e-9)


def test_what_is_claimed_is_corrected_apart_from_what_is_looked_at():
    seeds = range(5)

    def trials(shift: float) -> Trials:
        return Trials(None, {}, {seed: shift + seed / 100 for seed in seeds})

    names = {"a": 1.0, "b": 1.1, "c": 0.9, "d": 1.2}
    wanted = [(model, name, "base", trials(names[name]), trials(0.5)) for model in ("m", "n") for name in names]
    measured = Measured("m", "best", {})
    apart = {c.method: c for c in inference.compare(measured, wanted, {("base", "a")}) if c.model is None}
    together = {c.method: c for c in inference.compare(measured, wanted) if c.model is None}
    least = 2 / 2**10  # ten pairs, all of one sign
    assert apart["a"].p_corrected == pytest.approx(least)
    assert apart["b"].p_corrected == pytest.approx(3 * least)
    assert together["a"].p_corrected == pytest.approx(4 * least)
    assert [c.p for c in apart.values()] == pytest.approx([least] * 4)
