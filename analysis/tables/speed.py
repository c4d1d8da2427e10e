"""How fast each GAPO gets where its baseline gets: a line a claim and model. Pure."""

from __future__ import annotations

import math

from analysis.paper import conventions
from analysis.results.measurements import number
from analysis.statistics.speed import SHARE, speed
from analysis.tables.paper import Results
from analysis.tables.statistics import told
from analysis.tables.table import DASH, Entry, Line, Table

HEAD = ("threshold", "baseline's steps", "difference", "95% interval", "mean over steps", "95% interval")


def table(results: Results, name: str, title: str) -> Table | None:
    """Return the steps to one threshold and the area under the curve; None where no curve has two points."""
    measured, lines = results.measured, []
    for one in told(results):
        both = [results.trials((algo,), (one.model,)) for algo in (one.method, one.baseline)] if one.model else []
        curves = [[*trials.curves.values()] for trials in both if trials is not None]
        found = speed(*curves) if len(curves) == 2 and all(curves) else None
        if found is None:
            continue
        low, high = found.area.interval
        lines.append(
            Line(
                f"{one.model}: {conventions.method(one.method)} over {conventions.method(one.baseline)}",
                (
                    Entry(measured.text(found.threshold), found.threshold * measured.scale),
                    Entry(number(found.baseline, 1), found.baseline),
                    Entry(number(found.delta, 1, True), found.delta),
                    _interval(number(found.low, 1, True), number(found.high, 1, True), found.low),
                    Entry(measured.text(found.area.delta, True), found.area.delta * measured.scale),
                    _interval(measured.text(low, True), measured.text(high, True), low),
                ),
            )
        )
    if not lines:
        return None
    steps = (
        f"Threshold: {SHARE:.0%} of the gain that both mean curves make; steps to it on straight lines between "
        "validations, negative is earlier. Interval: expanded percentiles of a bootstrap over the seeds of each "
        "(Hesterberg 2015)"
    )
    area = "Mean over steps: the area under the curve, method minus baseline; interval by Welch's t over seeds"
    claims = "No claim is about speed: an interval that excludes zero is exploratory"
    head = (tuple((text, 1) for text in HEAD),)
    return Table(
        name, title, ("Comparison",), head, (tuple(lines),), (("", steps), ("", area), ("", claims)), records=True
    )


def _interval(low: str, high: str, value: float) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(f"[{low}, {high}]")
