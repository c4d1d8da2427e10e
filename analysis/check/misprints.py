"""What cannot be right in published tables. Pure.

Three questions to every printed number. Is it possible: can the mean of t trials on n test cases, a multiple
of 1/(n t), be printed so? Is it consistent: does a printed difference follow from the printed cells, as far
as their rounding leaves it open? Is it the same wherever it is printed?
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.paper import conventions
from analysis.paper.published import Delta, Published

HALF = 0.005 + 1e-9  # percent: what rounding to two decimals hides


@dataclass(frozen=True)
class Misprint:
    """A printed number that cannot be right, and what it should be."""

    table: str
    row: str
    column: str
    printed: float
    recomputed: float
    why: str


def possible(printed: float, cases: int, trials: int = 1) -> list[int]:
    """Return the k for which 100 k / (cases trials) is printed as ``printed`` (percent, two decimals)."""
    total = cases * trials
    low, high = (printed - HALF) * total / 100, (printed + HALF) * total / 100
    return list(range(math.ceil(low), math.floor(high) + 1))


def nearest(printed: float, cases: int, trials: int = 1) -> float:
    """Return the possible mean that is nearest to ``printed``, in percent."""
    return 100 * round(printed * cases * trials / 100) / (cases * trials)


def check(table: Published) -> list[Misprint]:
    """Return what cannot be right in one table."""
    return _check_counts(table) if table.kind == "counts" else [*_check_cells(table), *_check_deltas(table)]


def check_together(tables: Sequence[Published]) -> list[Misprint]:
    """Cells that two tables print differently."""
    seen: dict[tuple[str, str, str], tuple[str, float]] = {}
    found = []
    for table in tables:
        for row, values in table.rows.items() if table.kind == "accuracy" else ():
            for column, value in zip(table.columns, values, strict=True):
                if value is None:
                    continue
                where, there = seen.setdefault((table.metric, row, column), (table.table, value))
                if abs(there - value) > 1e-9:
                    why = f"Table {where} prints {there:.2f}"
                    found.append(_misprint(table, conventions.method(row), column, value, there, why))
    return found


def _check_cells(table: Published) -> Iterable[Misprint]:
    if not table.test_cases:
        return
    trials = table.trials or 1
    for row, values in table.rows.items():
        for column, value in zip(table.columns, values, strict=True):
            if value is not None and not possible(value, table.test_cases, trials):
                near = nearest(value, table.test_cases, trials)
                total = table.test_cases * trials
                why = f"no multiple of 1/{total}: the nearest is {round(near * total / 100)}/{total}"
                yield _misprint(table, conventions.method(row), column, value, near, why)


def _check_deltas(table: Published) -> Iterable[Misprint]:
    for delta in table.deltas:
        if delta.kind == "steps":
            continue  # does not follow from the table's cells
        for index, printed in enumerate(delta.values):
            a, b = table.rows[delta.of][index], table.rows[delta.over][index]
            row = f"{delta.name} of {conventions.method(delta.of)}"
            if printed is None:
                continue
            if a is None or b is None:
                yield _misprint(table, row, table.columns[index], printed, math.nan, "a cell it needs is empty")
            elif wrong := _difference(table, delta, a, b, printed):
                yield _misprint(table, row, table.columns[index], printed, *wrong)


def _difference(table: Published, delta: Delta, a: float, b: float, printed: float) -> tuple[float, str] | None:
    """Return the recomputed difference and the sum behind it, where ``printed`` is not possible."""
    (a, slack_a), (b, slack_b) = _exact(table, a), _exact(table, b)
    corners = [(a + i * slack_a, b + j * slack_b) for i in (-1, 1) for j in (-1, 1)]
    if delta.kind == "points":
        value, open = a - b, [x - y for x, y in corners]
        said = f"{a:.2f} - {b:.2f}"
    else:
        if b == 0:
            return None
        value, open = 100 * (a - b) / b, [100 * (x - y) / y for x, y in corners if y > 0]
        said = f"({a:.2f} - {b:.2f}) / {b:.2f}"
    if min(open) - HALF <= printed <= max(open) + HALF:
        return None
    return value, said


def _exact(table: Published, printed: float) -> tuple[float, float]:
    """Return the value behind ``printed`` and how far it may be off: 0 where only one fraction is printed so."""
    if table.test_cases:
        trials = table.trials or 1
        if len(possible(printed, table.test_cases, trials)) == 1:
            return nearest(printed, table.test_cases, trials), 0.0
    return printed, 0.005


def _check_counts(table: Published) -> list[Misprint]:
    """Table 1: percentages of the total, and a total row of smallest, largest and summed values."""
    column = {name: [_or_nan(table.value(row, name)) for row in table.rows] for name in table.columns}
    whole = sum(column["count"])
    found = []
    for row, count, percent in zip(table.rows, column["count"], column["percent"], strict=True):
        share = 100 * count / whole
        if abs(share - percent) > HALF:
            found.append(_misprint(table, row, "percent", percent, share, f"{count:.0f} of {whole:.0f}"))
    for name, printed in zip(table.columns, map(_or_nan, table.total), strict=True) if table.total else ():
        how = min if name.endswith("_min") else max if name.endswith("_max") else sum
        value = 100.0 if name == "percent" else how(column[name])
        if abs(value - printed) > HALF:
            found.append(_misprint(table, "Total", name, printed, value, f"{how.__name__} of the rows"))
    return found


def _or_nan(printed: float | None) -> float:
    """NaN for an empty cell: nothing can be wrong with it."""
    return math.nan if printed is None else printed


def _misprint(table: Published, row: str, column: str, printed: float, value: float, why: str) -> Misprint:
    shown = conventions.model_title(column) if column in conventions.MODELS else column
    return Misprint(table.table, row, shown, printed, value, why)


def lines(found: Sequence[Misprint]) -> list[str]:
    """Return a plain table, one misprint a line."""
    head = ("table", "row", "column", "printed", "recomputed", "why")
    signed = [(m.table, m.row, m.column, *(_number(v, m.row) for v in (m.printed, m.recomputed)), m.why) for m in found]
    rows = [head, *signed]
    width = [max(len(row[i]) for row in rows) for i in range(len(head))]
    right = (3, 4)
    return [
        "  ".join((text.rjust if i in right else text.ljust)(width[i]) for i, text in enumerate(row)).rstrip()
        for row in rows
    ]


def possible_share(cases: int, trials: int = 1) -> float:
    """Of the numbers 0.00 to 100.00 the share that some count of right answers is printed as: what chance passes."""
    return len({round(100 * k / (cases * trials), 2) for k in range(cases * trials + 1)}) / 10_001


def _number(value: float, row: str) -> str:
    if math.isnan(value):
        return "-"
    is_difference = " of " in row
    return f"{value:+.2f}" if is_difference else f"{value:.2f}"
