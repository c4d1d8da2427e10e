"""Each method's learning curve as a ceiling, an efficiency and a midpoint: a line a cell of what is claimed. Pure."""

from __future__ import annotations

import math

from analysis.results.measurements import number
from analysis.statistics.scaling import Interval, half_predicts, over_seeds
from analysis.tables.paper import Results
from analysis.tables.pivot import label
from analysis.tables.statistics import told
from analysis.tables.table import DASH, Entry, Line, Table

HEAD = ("ceiling A", "95% interval", "half-way step", "95% interval", "B", "95% interval", "fit error", "half predicts")


def table(results: Results, name: str, title: str) -> Table | None:
    """Return the cells of told comparisons whose mean curve can be fitted; None where there is none."""
    wanted = {(one.model, algo) for one in told(results) if one.model for algo in (one.method, one.baseline)}
    highest = 1.0 if results.measured.is_share else math.inf
    lines = []
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
        "half predicts: the error of the first half's fit on the second, and in brackets that of its last value. A "
        "ceiling that half a curve does not foretell is not known"
    )
    return Table(name, title, ("Cell",), (tuple((t, 1) for t in HEAD),), (tuple(lines),), (("", curve), ("", half_way)))


def _interval(one: Interval, low: str, high: str) -> Entry:
    return Entry(DASH) if math.isnan(one.low) else Entry(f"[{low}, {high}]")
