"""Two methods, each with seeds of its own: Welch's t, and the permutation of labels beside it.

Seeds are not paired: answers of two methods with one seed correlate by about .1, which buys less than the pairs cost in
degrees of freedom. With five seeds each a permutation of the ten labels can give p = .008, where the signs of five
differences give none below .0625.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from scipy import special

from analysis.statistics.intervals import LEVEL, SEED

EXACT = 20_000  # ways to label that are all counted; of more, so many at random
DRAWS = 9_999
# Two sums of the same floats in another order may differ by this much of the largest.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Difference:
    """A difference with its standard error and degrees of freedom; these are NaN where there is too little for them."""

    delta: float
    error: float
    freedom: float

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval by Student's t."""
        if math.isnan(self.error):
            return math.nan, math.nan
        half = -float(special.stdtrit(self.freedom, (1 - LEVEL) / 2)) * self.error if self.error else 0.0
        return self.delta - half, self.delta + half

    @property
    def p(self) -> float:
        """Two-sided p of no difference."""
        if math.isnan(self.error):
            return math.nan
        if not self.error:
            return 1.0 if not self.delta else 0.0
        return float(2 * special.stdtr(self.freedom, -abs(self.delta) / self.error))


def welch(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of ours minus mean of theirs; error and freedom after Welch, NaN with fewer than two values in either."""
    if not len(ours) or not len(theirs):
        return Difference(math.nan, math.nan, math.nan)
    delta = math.fsum(ours) / len(ours) - math.fsum(theirs) / len(theirs)
    if min(len(ours), len(theirs)) < 2 or not all(map(math.isfinite, (*ours, *theirs))):
        return Difference(delta, math.nan, math.nan)
    parts = [(float(np.var(one, ddof=1)) / len(one), len(one) - 1) for one in (ours, theirs)]
    return Difference(delta, math.sqrt(sum(part for part, _ in parts)), freedom(parts))


def freedom(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of squared errors (square, its freedom), after Welch and Satterthwaite."""
    bottom = sum(square**2 / own for square, own in parts)
    return sum(square for square, _ in parts) ** 2 / bottom if bottom else float(sum(own for _, own in parts))


def permuted_p(strata: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """Two-sided p of the mean over strata of the difference of means, when labels are permuted within each stratum.

    strata: (ours, theirs), one for each model. All labelings are counted where there are few, else 9,999 drawn.
    NaN without strata, or where one has no value of a method.
    """
    if not strata or not all(len(ours) and len(theirs) for ours, theirs in strata):
        return math.nan
    each = [_differences(ours, theirs) for ours, theirs in strata]
    observed = abs(float(sum(one[0] for one in each))) - ROUNDING * max(float(np.abs(one).max()) for one in each)
    if math.prod(map(len, each)) <= 5 * EXACT:
        sums = each[0]
        for one in each[1:]:
            sums = np.add.outer(sums, one).ravel()
        return float(np.mean(np.abs(sums) >= observed))
    rng = np.random.default_rng(SEED)
    sums = np.sum([rng.choice(one, DRAWS) for one in each], axis=0)
    return float((1 + (np.abs(sums) >= observed).sum()) / (1 + DRAWS))


def _differences(ours: Sequence[float], theirs: Sequence[float]) -> np.ndarray:
    """Return the difference of means under each labeling, that of the data first."""
    values = np.array([*ours, *theirs], float)
    return _labelings(len(ours), len(theirs)) @ (values - values.mean())


@cache
def _labelings(n: int, m: int) -> np.ndarray:
    """(ways, n + m): 1/n where a value is ours and -1/m where it is theirs; the first as given."""
    if math.comb(n + m, n) <= EXACT:
        chosen = np.array(list(combinations(range(n + m), n)))
    else:
        rng = np.random.default_rng(SEED)
        drawn = np.argsort(rng.random((DRAWS, n + m)), axis=1)[:, :n]
        chosen = np.concatenate([np.arange(n)[None], drawn])
    out = np.full((len(chosen), n + m), -1.0 / m)
    np.put_along_axis(out, chosen, 1.0 / n, axis=1)
    return out


def improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the probability that a random trial of ours beats a random one of theirs; ties count half."""
    if not len(ours) or not len(theirs):
        return math.nan
    gap = np.asarray(ours, float)[:, None] - np.asarray(theirs, float)[None, :]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())
