"""Each method's learning curve as a ceiling, an efficiency and a midpoint: a line a cell of what is claimed. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from analysis.results import spending
from analysis.results.curves import Curve
from analysis.results.measurements import number
from analysis.statistics.scaling import Interval, half_predicts, over_seeds
from analysis.tables.paper import Results
from analysis.tables.pivot import label
from analysis.tables.statistics import told
from analysis.tables.table import DASH, Entry, Line, Table
from gapo_lab.utils.text import two_digits

HEAD = ("ceiling A", "95% interval", "half-way step", "95% interval", "B", "95% interval", "fit error", "half predicts")
# The same way measured in what was spent, where every run has said it.
SPENT_HEAD = {"tokens": "half-way tokens", "seconds": "half-way seconds"}


def table(results: Results, name: str, title: str) -> Table | None:
    """Return the cells of told comparisons whose mean curve can be fitted; None where there is none."""
    wanted = {(one.model, algo) for one in told(results) if one.model for algo in (one.method, one.baseline)}
    highest = 1.0 if results.measured.is_share else math.inf
    lines = []
    kinds = [kind for kind in SPENT_HEAD if all(kind in one.spent for one in results.measured.by_cell.values())]
    for column in results.grid.columns:
        for row in results.grid.rows:
            trials = results.trials(row, column) if (column[0], row[0]) in wanted else None
            curves = [curve for curve in trials.curves.values() if len(curve)] if trials else []
            found = over_seeds(curves, highest)
            if found is None:
                continue
            text, scale = results.measured.text, results.measured.scale
            steps = (number(found.middle.value, 0), number(found.middle.low, 0), number(found.middle.high, 0))
            rate = found.efficiency
            spent = [_half_way(curves, trials.spent[kind], highest) for kind in kinds] if trials else []
            half = half_predicts(curves, highest)
            lines.append(
                Line(
                    f"{label(column, results.grid.column_axes)} {label(row, results.grid.row_axes)}",
                    (
                        Entry(text(found.ceiling.value), found.ceiling.value * scale),
                        _interval(found.ceiling, text(found.ceiling.low), text(found.ceiling.high)),
                        Entry(steps[0], found.middle.value),
                        _interval(found.middle, *steps[1:]),
                        Entry(number(rate.value, 1), rate.value),
                        _interval(rate, number(rate.low, 1), number(rate.high, 1)),
                        Entry(text(found.fit.error), found.fit.error * scale),
                        Entry(DASH) if half is None else Entry(f"{text(half[0])} ({text(half[1])})", half[0] * scale),
                        *spent,
                    ),
                )
            )
    if not lines:
        return None
    curve = (
        "R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B) over steps, fitted to the mean curve (ScaleRL, arXiv 2510.13786); "
        "intervals over seeds by jackknife. Two ceilings, or two midpoints, differ where their intervals are apart"
    )
    half_way = (
        "half predicts: the error of the first half's fit on the second, and in brackets that of its last value. If "
        "the first half does not predict the second, the ceiling is not known"
    )
    notes = [("", curve), ("", half_way)]
    if kinds:
        spent_text = f"half-way {' and '.join(kinds)}: the same curve over what the steps had spent, with its interval"
        notes.append(("", spent_text))
    head = (*HEAD, *(SPENT_HEAD[kind] for kind in kinds))
    return Table(name, title, ("Cell",), (tuple((t, 1) for t in head),), (tuple(lines),), tuple(notes), records=True)


def _half_way(curves: Sequence[Curve], spent: Mapping[int, Curve], highest: float) -> Entry:
    """Return where half of the gain is made, in what was spent; a dash where that curve cannot be fitted."""
    found = over_seeds(curves, highest, partial(spending.mean_at, spent))
    if found is None:
        return Entry(DASH)
    middle = found.middle
    ends = "" if math.isnan(middle.low) else f" [{two_digits(middle.low)}, {two_digits(middle.high)}]"
    return Entry(f"{two_digits(middle.value)}{ends}", middle.value)


def _interval(one: Interval, low: str, high: str) -> Entry:
    return Entry(DASH) if math.isnan(one.low) else Entry(f"[{low}, {high}]")
