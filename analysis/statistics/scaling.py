"""A learning curve as a ceiling, an efficiency and a midpoint (ScaleRL: Khatri et al. 2025, arXiv 2510.13786).

    R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B)

C is what was spent: steps, tokens or seconds. A is what the curve goes to, C_mid where half of the gain is made, B how
sharply. A higher ceiling and a faster way to the same one are different findings, and this tells them apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.results import curves
from analysis.results.curves import Curve
from gapo_lab.utils.t_interval import half_width

FEWEST = 4  # points after the start, for three parameters
EFFICIENCIES = (0.25, 8.0)  # B, lowest and highest
BEYOND = 8.0  # C_mid is sought from the first point over this to the last one times this
GRID, ZOOMS = 41, 5  # a grid of so many values of each, narrowed so often


# From steps to what was spent by then: tokens, seconds.
Spent = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fit:
    """R0, A, B and C_mid of one curve; ``error``: root mean square of what the fit leaves."""

    start: float
    ceiling: float
    efficiency: float
    middle: float
    error: float

    def at(self, spent: np.ndarray) -> np.ndarray:
        """R at (n,) amounts spent."""
        return self.start + (self.ceiling - self.start) * _share(spent, self.efficiency, self.middle)


@dataclass(frozen=True)
class Interval:
    """An estimate from the mean curve with its 95% interval over seeds; NaN ends with fewer than two."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SeedFits:
    """A, B and C_mid of a cell's mean curve with intervals over seeds, and the fit itself."""

    fit: Fit
    ceiling: Interval
    efficiency: Interval
    middle: Interval


def fit(spent: np.ndarray, values: np.ndarray, highest: float = math.inf) -> Fit | None:
    """Least squares of a curve: spent (n,) rising, the first 0 or the start; values (n,), the first is R0.

    highest: no ceiling above it, 1 for a share. None with fewer than ``FEWEST`` points after the start, or where the
    curve does not rise. For each B and C_mid the best A is known, so the search is over a plane: a grid that narrows.
    """
    spent, values = np.asarray(spent, float), np.asarray(values, float)
    start, amounts, gains = values[0], spent[1:] - spent[0], values[1:] - values[0]
    if len(amounts) < FEWEST or gains.mean() <= 0:
        return None
    low = np.array([math.log(EFFICIENCIES[0]), math.log(amounts[0] / BEYOND)])
    high = np.array([math.log(EFFICIENCIES[1]), math.log(amounts[-1] * BEYOND)])
    edges = low, high
    for _ in range(ZOOMS):
        rates, middles = (np.linspace(low[i], high[i], GRID) for i in (0, 1))
        share = _share(amounts, np.exp(rates)[:, None, None], np.exp(middles)[None, :, None])
        size = np.minimum((share @ gains) / np.square(share).sum(axis=-1), highest - start)
        left = np.square(size[..., None] * share - gains).sum(axis=-1)
        i, j = np.unravel_index(int(left.argmin()), left.shape)
        best, reach = np.array([rates[i], middles[j]]), 2 * (high - low) / (GRID - 1)
        low, high = np.maximum(best - reach, edges[0]), np.minimum(best + reach, edges[1])
    error = math.sqrt(float(left[i, j]) / len(amounts))
    return Fit(float(start), float(start + size[i, j]), math.exp(best[0]), math.exp(best[1]) + float(spent[0]), error)


def _share(amounts: np.ndarray, efficiency, middle) -> np.ndarray:
    """Return the share of the gain that is made; 0 where nothing was spent."""
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / (1 + (middle / amounts) ** efficiency)


def over_seeds(trials: Sequence[Curve], highest: float = math.inf, spent: Spent | None = None) -> SeedFits | None:
    """Return the fit of the mean curve; intervals by leaving out one seed at a time (jackknife), B and C_mid on a
    log scale.

    spent: from (m,) steps to what the cell had spent by then, (m,) rising; None fits over steps. None where the mean
    curve cannot be fitted.
    """
    steps, values = curves.together(trials)
    if spent is not None and len(steps):
        steps = spent(steps)
    whole = fit(steps, values.mean(axis=0), highest) if len(steps) else None
    if whole is None:
        return None
    others = [np.delete(values, i, axis=0).mean(axis=0) for i in range(len(values))] if len(values) > 1 else []
    kept = [one for one in (fit(steps, mean, highest) for mean in others) if one is not None]
    return SeedFits(
        whole,
        _jackknife(whole.ceiling, [one.ceiling for one in kept]),
        _jackknife(whole.efficiency, [one.efficiency for one in kept], log=True),
        _jackknife(whole.middle, [one.middle for one in kept], log=True),
    )


def _jackknife(value: float, without: Sequence[float], log: bool = False) -> Interval:
    n = len(without)
    if n < 2:
        return Interval(value, math.nan, math.nan)
    seen = np.log(without) if log else np.array(without)
    error = (n - 1) / math.sqrt(n) * float(seen.std())  # sqrt((n - 1)/n sum of squares)
    half = float(half_width(error * math.sqrt(n), n))
    middle = math.log(value) if log else value
    ends = (middle - half, middle + half)
    return Interval(value, *(map(math.exp, ends) if log else ends))


def half_predicts(trials: Sequence[Curve], highest: float = math.inf) -> tuple[float, float] | None:
    """How well the first half of the mean curve foretells the second: root mean squares of two guesses.

    The first is the fit of the first half, the second that its last value stays. None where the half cannot be fitted.
    """
    average = curves.mean(trials)
    half = average.steps <= (average.steps[0] + average.steps[-1]) / 2 if len(average) else np.array([], bool)
    seen = fit(average.steps[half], average.values[half], highest) if half.any() else None
    if seen is None or half.all():
        return None
    later, truth = average.steps[~half] - average.steps[0], average.values[~half]
    foretold = seen.start + (seen.ceiling - seen.start) * _share(later, seen.efficiency, seen.middle - average.steps[0])
    errors = (foretold - truth, average.values[half][-1] - truth)
    fitted, still = (math.sqrt(float(np.square(one).mean())) for one in errors)
    return fitted, still
