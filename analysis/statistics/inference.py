"""What the numbers allow to say: intervals, paired comparisons over seeds, and the test set's own error.

- **Interval of a mean**: bootstrap over seeds, percentiles. With few seeds plain percentiles are too narrow
  (five normal trials: 83 % of them hold the true mean; widened, 92 %), so they are widened as Hesterberg (2015, "What
  teachers should know about the bootstrap", section 5.3) has it: the quantile is taken at Phi(-sqrt(n/(n-1)) t_{n-1}).
  No resample leaves the range of the values, and with two, three or four trials this range itself holds the mean in
  50, 75 and 87 % of cases only: with those it is Student's t interval.
- **Comparison**: the same seed with both methods is one pair. Bootstrap interval of the mean difference;
  permutation test (the signs of the differences, all 2^n of them while that is feasible, two-sided), corrected
  by Holm's method over a family of comparisons (`compare`); probability of improvement (Agarwal et al. 2021):
  how often a random trial of the method beats a random trial of the baseline, ties counting half.
- **Test set**: n cases are a sample too. sqrt(p (1 - p) / n) is the standard error of one trial's accuracy; trials
  that share the test set share this error, so their mean does not average it away.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations_with_replacement, product

import numpy as np
from scipy import special

from analysis.results.measurements import Measured, Trials
from gapo_lab.utils.student import half_width

LEVEL = 0.95
RESAMPLES = 9999
SEED = 0
FEW = 5  # values from which a bootstrap can reach far enough
EXACT = 8  # values whose resamples are all counted
EXACT_SIGNS = 13  # pairs whose signs are all counted


@dataclass(frozen=True)
class Summary:
    """A cell in numbers; ``low``, ``high`` and ``sd`` are NaN with fewer than two seeds."""

    n: int
    mean: float
    sd: float
    low: float
    high: float
    sampling_error: float | None


@dataclass(frozen=True)
class Comparison:
    """``method`` minus ``baseline`` on the seeds that both have; ``model`` None: pooled over all models."""

    metric: str
    model: str | None
    method: str
    baseline: str
    n: int
    delta: float
    low: float
    high: float
    p: float
    improvement: float
    p_corrected: float = math.nan
    is_no_result: bool = False

    @property
    def holds_zero(self) -> bool:
        """The interval holds zero, or there is none."""
        return not (self.low > 0 or self.high < 0)

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` only where the interval and the corrected test both say so.

        ``interval only``: the interval leaves zero out, the corrected test does not. ``no result``: of a rehearsal or a
        smoke run.
        """
        if self.is_no_result:
            return "no result"
        if self.n < 2:
            return "no pair" if self.n == 0 else "one pair: nothing can be said"
        if self.holds_zero:
            return "not told apart"
        way = "better" if self.delta > 0 else "worse"
        if self.p_corrected <= 1 - LEVEL + 1e-12:
            return way
        return "interval only"


def tail(n: int) -> float:
    """The share of resamples beyond each end of the interval of the mean of ``n`` values."""
    return float(special.ndtr(math.sqrt(n / (n - 1)) * special.stdtrit(n - 1, (1 - LEVEL) / 2)))


def intervals(rows: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The interval of each row's mean, by bootstrap or, of fewer than five values, Student's t.

    Rows may differ in length. NaN with fewer than two values.
    """
    out = [(math.nan, math.nan)] * len(rows)
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if len(row) >= 2 and all(map(math.isfinite, row)):
            by_length[len(row)].append(index)
    for n, indices in by_length.items():
        data = np.array([rows[index] for index in indices], float)
        if n < FEW:
            middle, half = data.mean(axis=1), student(data)
            for index, one, other in zip(indices, middle - half, middle + half, strict=True):
                out[index] = (float(one), float(other))
            continue
        counts, weights = resamples(n)
        for start in range(0, len(indices), 200):
            some = indices[start : start + 200]
            means = np.concatenate([data[start : start + 200] @ part.T / n for part in counts], axis=1)
            order = np.argsort(means, axis=1)
            reached = np.cumsum(weights[order], axis=1)
            ends = [np.argmax(reached >= share, axis=1) for share in (tail(n) - 1e-12, 1 - tail(n) - 1e-12)]
            low, high = (np.take_along_axis(means, order, 1)[np.arange(len(some)), end] for end in ends)
            for index, one, other in zip(some, low.tolist(), high.tolist(), strict=True):
                out[index] = (one, other)
    return out


def student(data: np.ndarray) -> np.ndarray:
    """(rows, n) values -> (rows,): half the width of the t interval of each row's mean."""
    return half_width(data.std(axis=1, ddof=1), data.shape[1], LEVEL)


@cache
def resamples(n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """How often each of ``n`` values is drawn, in blocks (m, n), and the weight (M,) of each resample.

    All of them up to n = 8 (126 for five values), else 9,999 at random. They are the same for all rows, so an
    interval depends on its own row alone.
    """
    if n <= EXACT:
        counts = np.array([np.bincount(c, minlength=n) for c in combinations_with_replacement(range(n), n)])
        weights = np.array([math.factorial(n) / math.prod(map(math.factorial, c)) for c in counts.tolist()])
        return [counts.astype(float)], weights / n**n
    rng = np.random.default_rng(SEED)
    sizes = [min(500, RESAMPLES - done) for done in range(0, RESAMPLES, 500)]
    blocks = [_counts(rng.integers(0, n, size=(size, n), dtype=np.int32)) for size in sizes]
    return blocks, np.full(RESAMPLES, 1 / RESAMPLES)


def _counts(drawn: np.ndarray) -> np.ndarray:
    """(m, n) indices -> (m, n): how often each index is in its row."""
    m, n = drawn.shape
    drawn += np.arange(0, m * n, n, dtype=np.int32)[:, None]
    return np.bincount(drawn.ravel(), minlength=m * n).reshape(m, n).astype(np.float32)


def sampling_error(share: float, cases: int | None) -> float | None:
    """Standard error of an accuracy on ``cases`` test cases."""
    if not cases or not 0 <= share <= 1:
        return None
    return math.sqrt(share * (1 - share) / cases)


def summaries(measured: Measured) -> dict[str, Summary]:
    """{cell id: Summary} of the cells that have a value."""
    cells = {id: [*t.values.values()] for id, t in measured.by_cell.items() if t.values}
    out = {}
    for (id, values), (low, high) in zip(cells.items(), intervals(list(cells.values())), strict=True):
        mean = math.fsum(values) / len(values)
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        error = sampling_error(mean, measured.test_cases) if measured.is_share else None
        out[id] = Summary(len(values), mean, sd, low, high, error)
    return out


def permutation_p(differences: Sequence[float]) -> float:
    """Two-sided p of the mean difference when every sign could as well be the other; exact up to 13 pairs.

    n pairs can give no p below 2^(1-n): five seeds never less than 0.0625.
    """
    if not len(differences):
        return math.nan
    values = np.asarray(differences, float)
    if len(values) <= EXACT_SIGNS:
        sums = np.abs(_signs(len(values)) @ values)
        return float(np.mean(sums >= sums[0] - 1e-12 * max(1.0, sums[0])))
    rng, beaten = np.random.default_rng(SEED), 0
    observed = abs(float(values.sum()))
    for done in range(0, RESAMPLES, 500):
        signs = rng.integers(0, 2, (min(500, RESAMPLES - done), len(values)), dtype=np.int8) * 2.0 - 1
        beaten += int((np.abs(signs @ values) >= observed - 1e-12 * max(1.0, observed)).sum())
    return (1 + beaten) / (1 + RESAMPLES)


@cache
def _signs(n: int) -> np.ndarray:
    """(2^n, n): every way to sign n numbers, the first all plus."""
    return np.array(list(product((1.0, -1.0), repeat=n)))


def improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The probability that a random trial of ours beats a random one of theirs; ties count half."""
    if not len(ours) or not len(theirs):
        return math.nan
    gap = np.asarray(ours, float)[:, None] - np.asarray(theirs, float)[None, :]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


def holm(values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given; NaN is no comparison and stays."""
    order = [i for i in np.argsort(values, kind="stable") if not math.isnan(values[i])]
    out, largest = [math.nan] * len(values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[index]))
        out[index] = largest
    return out


def pairs(ours: Trials, theirs: Trials) -> list[tuple[float, float]]:
    """The values of the seeds that both have, in the order of the seeds."""
    return [(ours.values[s], theirs.values[s]) for s in sorted(ours.values.keys() & theirs.values.keys())]


def compare(
    measured: Measured,
    wanted: Sequence[tuple[str, str, str, Trials, Trials]],
    claims: Collection[tuple[str, str]] = (),
) -> list[Comparison]:
    """Comparisons (model, method, baseline, trials of both), then each method pooled over its models.

    Pooled: all models' pairs together, each difference flipped on its own; the mean over pairs.
    Corrected over the comparisons of single models and, apart from them, over the pooled ones, of which those of
    `claims`, (baseline, method), are again corrected apart: what a study asks first, it asks before it looks around.
    """
    single, pools = [], defaultdict(list)
    for model, method, baseline, ours, theirs in wanted:
        both = pairs(ours, theirs)
        single.append((model, method, baseline, both, improvement([*ours.values.values()], [*theirs.values.values()])))
        if both:
            pools[method, baseline].append((both, single[-1][-1]))
    pooled = [
        (
            None,
            method,
            baseline,
            [pair for both, _ in found for pair in both],
            float(np.mean([i for _, i in found])),
        )
        for (method, baseline), found in pools.items()
        if len(found) > 1
    ]
    first = [one for one in pooled if (one[2], one[1]) in claims]
    others = [one for one in pooled if (one[2], one[1]) not in claims]
    families = [_compared(measured, family) for family in (single, first, others)]
    return [one for family in families for one in family]


def _compared(measured: Measured, asked: Sequence[tuple]) -> list[Comparison]:
    rows = [[a - b for a, b in both] for _, _, _, both, _ in asked]
    known: dict[tuple[float, ...], float] = {}
    found = []
    for (model, method, baseline, _, better), row, (low, high) in zip(asked, rows, intervals(rows), strict=True):
        p = known.setdefault(tuple(row), permutation_p(row)) if len(row) > 1 else math.nan
        delta = math.fsum(row) / len(row) if row else math.nan
        found.append(
            Comparison(
                measured.metric,
                model,
                method,
                baseline,
                len(row),
                delta,
                low,
                high,
                p,
                better,
                is_no_result=measured.is_no_result,
            )
        )
    corrected = holm([one.p for one in found])
    return [replace(one, p_corrected=p) for one, p in zip(found, corrected, strict=True)]
