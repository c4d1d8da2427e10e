"""Step-delta, statistics, the checker and what is printed, each against its definition."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import examples

from analysis import check
from analysis.paper import published
from analysis.render import latex, parts, plain_text
from analysis.results import step_delta
from analysis.results.curves import Curve
from analysis.results.measurements import Measured, guess_cases, number
from analysis.tables.table import Entry, Line, Table, numbers, ranked
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


@examples(15)
@given(st.integers(1, 40), st.lists(st.integers(1, 60), min_size=1, max_size=3), st.data())
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
        assert sum(map(int, heads)) == columns and part.count(r" \\") <= parts.LINES + 1


def test_a_float_scales_nothing_and_each_part_fits_a_page_of_two_columns():
    comparison = ("+0.67", "[-1.05, +2.38]", "no difference found", "10 + 10", "0.423", "0.423", "1.000", "0.62")
    lines = (Line("nano-0.6M: GRPO, shifted over GAPO (G)", tuple(map(Entry, comparison))),)
    head = (tuple((text, 1) for text in ("difference", "95% interval", "verdict", "seeds", "p", "p", "p", "P")),)
    wide = Table("t", "T", ("",), head, (lines,))
    narrow = Table("t", "T", ("",), (head[0][:1],), ((Line("a", (Entry("1.0"),)),),))
    text = latex.table(wide)
    assert "box" not in text.replace(r"\parbox", "") and text.count("(continued)") == 1
    assert [part.size for part in parts.parts(wide)] == ["footnotesize", "footnotesize"]
    assert [part.size for part in parts.parts(narrow)] == ["small"]
    # a number of the paper's own table and its parts is counted once
    assert text.count(r"\addtocounter{table}{-1}") == 1


def test_tables_have_the_papers_numbers_only_where_the_study_is_the_papers():
    tables, figures = ["table2", "table_hard", "tuning", "table4"], ["figure3_grpo", "figureS2", "tuning"]
    assert numbers(tables, True) == {"table2": "2", "table_hard": "S1", "tuning": "S2", "table4": "4"}
    assert numbers(figures, True) == {"figure3_grpo": "3 (G)", "figureS2": "S2", "tuning": "S1"}
    assert [*numbers(tables, False).values()] == ["1", "2", "3", "4"]


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
