"""What a run has spent by a step: tokens and seconds, beside steps. Pure but for the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.results.curves import Curve
from analysis.results.source import Source

# What is spent -> the metric that says how much a step spends.
SPENT = {"tokens": "perf/total_num_tokens", "seconds": "perf/time_per_step"}
# Seconds of all GPUs together: verl's throughput is tokens a second and GPU.
OF_GPUS, THROUGHPUT = "GPU seconds", "perf/throughput"


def spent(source: Source, ids: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """Return for each kind of spending {the run's id: its sum up to each step}, where every run has measured it."""
    found = {}
    for kind, metric in SPENT.items():
        curves = source.curves(ids, metric)
        if curves and curves.keys() >= set(ids):
            found[kind] = {run: Curve(one.steps, np.cumsum(one.values)) for run, one in curves.items()}
    if "tokens" in found:
        speeds, tokens = source.curves(ids, THROUGHPUT), source.curves(ids, SPENT["tokens"])
        if speeds.keys() >= set(ids) and all(np.all(one.values > 0) for one in speeds.values()):
            found[OF_GPUS] = {
                run: Curve(one.steps, np.cumsum(one.values / speeds[run].at(one.steps))) for run, one in tokens.items()
            }
    return found


def total(curves: Mapping[int, Curve]) -> float:
    """Return the mean over seeds of all that was spent; NaN where nothing is known."""
    ends = [float(curve.values[-1]) for curve in curves.values() if len(curve)]
    return sum(ends) / len(ends) if ends else float("nan")


def mean_at(curves: Mapping[int, Curve], steps: np.ndarray) -> np.ndarray:
    """Return the mean over seeds of what was spent by each of (m,) steps, (m,); 0 before the first."""
    return np.mean([np.nan_to_num(curve.at(steps)) for curve in curves.values()], axis=0)
