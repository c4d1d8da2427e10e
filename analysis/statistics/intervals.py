"""The interval of a mean over seeds: Student's t of fewer than ten values, from ten on a bootstrap.

Of 2 to 10 normal values a bootstrap's percentiles, even widened for few values (Hesterberg 2015, "What teachers should
know about the bootstrap", section 5.3: the quantile is taken at Phi(-sqrt(n/(n-1)) t_{n-1})), hold the true mean in
about 93 of 100 cases, Student's t in 95; of skewed values t does better, too. From ten on they agree, and the bootstrap
follows a skewed cell. Where one seed in ten collapses, five seeds' intervals hold the mean in 75 of 100 cases, whatever
the formula: `make bench` measures it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy import special

from gapo_lab.utils.t_interval import half_width

LEVEL = 0.95
RESAMPLES = 9999
SEED = 0
FEW = 10  # values from which the bootstrap is as good


def tail(n: int) -> float:
    """Return the share of resamples beyond each end of the interval of the mean of ``n`` values."""
    return float(special.ndtr(math.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 - LEVEL) / 2)))


def intervals(rows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return the interval of each row's mean. Rows may differ in length. NaN with fewer than two values."""
    out = [(math.nan, math.nan)] * len(rows)
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if len(row) >= 2 and all(map(math.isfinite, row)):
            by_length[len(row)].append(index)
    for n, indices in by_length.items():
        data = np.array([rows[index] for index in indices], float)
        low, high = _student(data) if n < FEW else _bootstrap(data)
        for index, one, other in zip(indices, low.tolist(), high.tolist(), strict=True):
            out[index] = (one, other)
    return out


def _student(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, n) values -> the ends of each row's t interval, (rows,) each."""
    middle, half = data.mean(axis=1), half_width(data.std(axis=1, ddof=1), data.shape[1], LEVEL)
    return middle - half, middle + half


def _bootstrap(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, n) values -> the ends of each row's widened percentile interval, (rows,) each."""
    n = data.shape[1]
    ends = []
    for start in range(0, len(data), 200):
        means = np.concatenate([data[start : start + 200] @ part.T / n for part in resamples(n)], axis=1)
        means.sort(axis=1)
        places = [math.ceil(share * RESAMPLES - 1e-9) - 1 for share in (tail(n), 1 - tail(n))]
        ends.append(means[:, [max(0, place) for place in places]])
    low, high = np.concatenate(ends).T
    return low, high


@cache
def resamples(n: int) -> list[np.ndarray]:
    """How often each of ``n`` values is drawn in each of 9,999 resamples, in blocks (m, n).

    They are the same for all rows, so an interval depends on its own row alone.
    """
    rng = np.random.default_rng(SEED)
    sizes = [min(500, RESAMPLES - done) for done in range(0, RESAMPLES, 500)]
    return [_counts(rng.integers(0, n, size=(size, n), dtype=np.int32)) for size in sizes]


def _counts(drawn: np.ndarray) -> np.ndarray:
    """(m, n) indices -> (m, n): how often each index is in its row."""
    m, n = drawn.shape
    drawn += np.arange(0, m * n, n, dtype=np.int32)[:, None]
    return np.bincount(drawn.ravel(), minlength=m * n).reshape(m, n).astype(np.float32)


def sampling_error(share: float, cases: int | None) -> float | None:
    """Return the standard error of an accuracy on ``cases`` test cases."""
    if not cases or not 0 <= share <= 1:
        return None
    return math.sqrt(share * (1 - share) / cases)
