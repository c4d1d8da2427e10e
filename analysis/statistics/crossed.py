"""A difference over seeds and cases at once: what new seeds on new test cases would show.

An interval over seeds alone speaks for these test cases. Where a method is better on some cases and worse on others,
new cases would show another difference, and it is too narrow for that: where it promises 5% it then rejects 8 to 20.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.statistics.two_samples import Difference, freedom


def crossed(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Mean of ours minus mean of theirs, (seeds, cases) each on the same cases, error over both.

    V = s_seed^2 / n + s_case^2 / N - s_res^2 / (n N) (Cameron, Gelbach and Miller 2011), where s_seed is over the means
    of seeds, of each method by itself; s_case over the cases' differences; and s_res what neither explains, which the
    first two both hold. Not below the larger of them: the subtraction is an estimate, too. Freedom after Welch and
    Satterthwaite. NaN error with fewer than two seeds of either or two cases. Raises ValueError where the cases differ
    in number.
    """
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"{ours.shape[1]} and {theirs.shape[1]} cases: both methods need the same ones")
    cases = ours.shape[1]
    delta = float(ours.mean() - theirs.mean()) if ours.size and theirs.size else math.nan
    if min(len(ours), len(theirs), cases) < 2:
        return Difference(delta, math.nan, math.nan)
    both = (ours, theirs)
    by_seed = [(float(one.mean(axis=1).var(ddof=1)) / len(one), len(one) - 1.0) for one in both]
    by_case = float((ours.mean(axis=0) - theirs.mean(axis=0)).var(ddof=1)) / cases
    twice = sum(_residual(one) / one.size for one in both)
    seeds = sum(square for square, _ in by_seed)
    square = max(seeds, by_case, seeds + by_case - twice)
    own = max(by_case - twice, 0.0)  # of the cases alone
    return Difference(delta, math.sqrt(square), freedom([*by_seed, (own, cases - 1.0)]))


def _residual(values: np.ndarray) -> float:
    """Return the variance that neither seeds nor cases explain, (seeds, cases) -> a number."""
    n, cases = values.shape
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
    return float(np.square(rest).sum()) / ((n - 1) * (cases - 1))
