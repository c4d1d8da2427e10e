"""What a run has spent by a step: tokens and seconds, beside steps. Pure but for the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.results.curves import Curve
from analysis.results.source import Source

# What is spent -> the metric that says how much a step spends.
SPENT = {"tokens": "perf/total_num_tokens", "seconds": "perf/time_per_step"}


def spent(source: Source, ids: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """Return for each kind of spending {the run's id: its sum up to each step}, where every run has measured it."""
    found = {}
    for kind, metric in SPENT.items():
        curves = source.curves(ids, metric)
        if curves and curves.keys() >= set(ids):
            found[kind] = {run: Curve(one.steps, np.cumsum(one.values)) for run, one in curves.items()}
    return found


def mean_at(curves: Mapping[int, Curve], steps: np.ndarray) -> np.ndarray:
    """Return the mean over seeds of what was spent by each of (m,) steps, (m,); 0 before the first."""
    return np.mean([np.nan_to_num(curve.at(steps)) for curve in curves.values()], axis=0)
