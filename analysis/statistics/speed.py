"""How fast a method learns beside its baseline, at one threshold for both, and over the whole curve; with intervals.

The paper's Step-delta (`analysis.results.step_delta`) holds a first crossing against the arg max of a noisy curve: two
equal methods give a dash in half of all cases, and on a plateau a lead of a point looks like a quarter of the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.results import curves
from analysis.results.curves import Curve
from analysis.statistics.intervals import RESAMPLES, SEED, tail
from analysis.statistics.two_samples import Difference, welch

SHARE = 0.9  # of the gain that both make: low enough that noise on a plateau does not decide when it is reached


@dataclass(frozen=True)
class Speed:
    """Steps until both mean curves have ``threshold``: the baseline's, and method minus baseline with its interval.

    ``area``: the difference of the means over all steps. low and high are NaN with fewer than two seeds of either.
    """

    threshold: float
    baseline: float
    delta: float
    low: float
    high: float
    area: Difference


def speed(ours: Sequence[Curve], theirs: Sequence[Curve]) -> Speed | None:
    """Trials of a method and of its baseline; None where a curve is empty, or one of the two does not rise.

    The threshold lies at ``SHARE`` of the way from the lower start to the lower of the two bests of the mean curves, so
    both reach it; between validations curves are taken as straight lines. Interval: bootstrap over the seeds of each,
    the threshold anew in each resample.
    """
    (steps, values), (their_steps, their_values) = curves.together(ours), curves.together(theirs)
    if len(steps) < 2 or len(their_steps) < 2:
        return None
    grids = (steps, their_steps)
    threshold, at = _reached(grids, [values.mean(axis=0)[None], their_values.mean(axis=0)[None]])
    if np.isnan(at).any():
        return None
    low = high = math.nan
    if min(len(values), len(their_values)) > 1:
        rng = np.random.default_rng(SEED)
        means = [one[rng.integers(0, len(one), (RESAMPLES, len(one)))].mean(axis=1) for one in (values, their_values)]
        gaps = np.sort(np.subtract(*_reached(grids, means)[1]))
        gaps = gaps[~np.isnan(gaps)]
        beyond = tail(min(len(values), len(their_values)))
        low, high = (float(one) for one in np.quantile(gaps, [beyond, 1 - beyond])) if len(gaps) else (low, high)
    area = welch(*([mean_height(curve) for curve in some] for some in (ours, theirs)))
    return Speed(float(threshold[0]), float(at[1][0]), float(at[0][0] - at[1][0]), low, high, area)


def mean_height(curve: Curve) -> float:
    """Return the area under a curve over its length: its mean over steps."""
    if len(curve) < 2:
        return float(curve.values[0]) if len(curve) else math.nan
    return float(np.trapezoid(curve.values, curve.steps) / (curve.steps[-1] - curve.steps[0]))


def _reached(grids: Sequence[np.ndarray], means: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean curves (rows, steps) of both -> the threshold of each row (rows,), and when each reaches it (2, rows)."""
    start = np.minimum(*(one[:, 0] for one in means))
    best = np.minimum(*(one.max(axis=1) for one in means))
    threshold = np.where(best > start, start + SHARE * (best - start), np.nan)
    return threshold, np.stack([crossing(*pair, threshold) for pair in zip(grids, means, strict=True)])


def crossing(steps: np.ndarray, values: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Return the first step at which each row of (rows, steps) has its threshold (rows,), on straight lines; NaN:
    never."""
    above = values >= threshold[:, None]
    index = above.argmax(axis=1)
    before = np.maximum(index - 1, 0)
    rows = np.arange(len(values))
    low, high = values[rows, before], values[rows, index]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(index > 0, (threshold - low) / (high - low), 0.0)
    return np.where(above.any(axis=1), steps[before] + share * (steps[index] - steps[before]), np.nan)
