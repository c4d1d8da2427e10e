"""The one number of a finished run on a metric, as tables take it by default: at the step that is best on the dev set.

Without a dev set it is the last value. Of exact match, what is expected of it is taken where that was measured. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gapo_lab.runs import measures, metrics

# What of the dev set chooses a step, the first that was measured; else the metric's own measure on the dev set.
DEV = (f"val/dev/{measures.EXPECTED}", f"val/dev/{measures.EXACT_MATCH}")


def value(merged: Mapping[int, Mapping[str, float]], metric: str) -> float | None:
    """Return the number of a run with these metrics by step; None where the metric was not measured.

    metric: `val/SET/MEASURE`. Of equal values on the dev set the first step counts.
    """
    found = metrics.series(merged, measures.expected(metric)) or metrics.series(merged, metric)
    dev = next((series for name in choosing(metric) if (series := metrics.series(merged, name))), None)
    return at_best(found, dev) if dev else (found[-1][1] if found else None)


def choosing(metric: str) -> tuple[str, ...]:
    """Return what of the dev set may choose a step for a metric, the best first: those of exact match, its own."""
    return (*DEV, on_dev(metric).removesuffix(measures.GREEDY))


def on_dev(metric: str) -> str:
    """Return the same measure on the dev set: `val/dev/em_greedy` for `val/ood/em_greedy`."""
    return re.sub("^val/[^/]+", f"val/{measures.DEV}", metric)


def at_best(found: Sequence[tuple[int, float]], dev: Sequence[tuple[int, float]]) -> float | None:
    """Return the value that holds at the first step at which ``dev`` is best; None where it was measured later only.

    found, dev: (step, value) by step. Of ``found`` the last one measured at or before that step holds.
    """
    best = best_step(dev)
    until = [number for step, number in found if step <= best]
    return until[-1] if until else None


def best_step(points: Sequence[tuple[int, float]]) -> int:
    """Return the first step at which a curve, (step, value) by step, is at its highest; its first without a value."""
    step, _ = metrics.first_best(points) or points[0]
    return step
