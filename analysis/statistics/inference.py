"""What the numbers allow to say: a cell in numbers, and two methods compared.

- **A cell**: mean, standard deviation and interval over seeds (`intervals`), and the test set's own error: n cases are
  a sample too, and trials that share them share it.
- **A comparison**: Welch's t of the seeds of both methods, the permutation of their labels beside it (`two_samples`);
  pooled over models in strata, with a test of whether the models agree (`pooling`); probability of improvement
  (Agarwal et al. 2021), how often a random trial of the method beats a random one of the baseline.
- **A verdict**: better or worse only of what was claimed before the runs (`families`). All else is exploratory.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.results.measurements import Measured, Trials
from analysis.statistics.intervals import LEVEL, intervals, sampling_error
from analysis.statistics.pooling import interaction_p, pooled
from analysis.statistics.two_samples import Difference, improvement, permuted_p, welch

Wanted = tuple[str, str, str, Trials, Trials]  # model, method, baseline, trials of both


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
    """``method`` minus ``baseline``; ``model`` None: pooled over the models of which both have two seeds.

    n, against: seeds of the method and of the baseline, of a pooled one over all its models. error, freedom: of the
    difference. p: Welch's; p_permuted: of the labels. interaction: p of all models having one difference, NaN of a
    single model. is_claim: named before the runs; then p_corrected is p corrected over its family, which has so many
    claims, and for the families before it.
    """

    metric: str
    model: str | None
    method: str
    baseline: str
    n: int
    against: int
    delta: float
    low: float
    high: float
    p: float
    p_permuted: float
    improvement: float
    error: float = math.nan
    freedom: float = math.nan
    interaction: float = math.nan
    models: int = 1
    is_claim: bool = False
    p_corrected: float = math.nan
    claims: int = 1
    is_no_result: bool = False

    @property
    def holds_zero(self) -> bool:
        """The interval holds zero, or there is none."""
        return not (self.low > 0 or self.high < 0)

    @property
    def models_differ(self) -> bool:
        return self.interaction <= 1 - LEVEL

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` only of a claim that its corrected p decides.

        ``exploratory``: the interval excludes zero, but nobody claimed it before; ``not decided``: a claim whose
        interval does, and whose corrected p is too large. ``no result``: of a rehearsal or a smoke run.
        """
        if self.is_no_result:
            return "no result"
        if min(self.n, self.against) == 0:
            return "no runs"
        if math.isnan(self.p):
            return "one seed: nothing can be said"
        if self.holds_zero:
            return "no difference found"
        if not self.is_claim:
            return "exploratory"
        if self.p_corrected <= 1 - LEVEL + 1e-12:
            return "better" if self.delta > 0 else "worse"
        return "not decided"


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


def compare(measured: Measured, wanted: Sequence[Wanted]) -> list[Comparison]:
    """Return the comparisons of single models, in the order given, then each method pooled over its models."""
    single, strata = [], defaultdict(list)
    for model, method, baseline, ours, theirs in wanted:
        both = [*ours.values.values()], [*theirs.values.values()]
        one = _comparison(measured, model, method, baseline, [both])
        single.append(one)
        if not math.isnan(one.p):
            strata[method, baseline].append(both)
    return [
        *single,
        *(
            _comparison(measured, None, method, baseline, parts)
            for (method, baseline), parts in strata.items()
            if len(parts) > 1
        ),
    ]


def _comparison(
    measured: Measured, model: str | None, method: str, baseline: str, strata: list[tuple[list[float], list[float]]]
) -> Comparison:
    parts = [welch(ours, theirs) for ours, theirs in strata]
    found: Difference = pooled(parts) if len(parts) > 1 else parts[0]
    low, high = found.interval
    return Comparison(
        metric=measured.metric,
        model=model,
        method=method,
        baseline=baseline,
        n=sum(len(ours) for ours, _ in strata),
        against=sum(len(theirs) for _, theirs in strata),
        delta=found.delta,
        low=low,
        high=high,
        p=found.p,
        p_permuted=math.nan if math.isnan(found.p) else permuted_p(strata),
        improvement=float(np.mean([improvement(ours, theirs) for ours, theirs in strata])),
        error=found.error,
        freedom=found.freedom,
        interaction=interaction_p(parts),
        models=len(strata),
        is_no_result=measured.is_no_result,
    )
