"""What a trial is worth: numbers of its runs, by name, as means over its seeds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gapo_lab.errors import UserError
from gapo_lab.runs import measures, metrics

Merged = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Objective:
    """``name``: `best/id/em`, `mean/actor/pg_clipfrac`: how the curve becomes a number, and the metric."""

    name: str
    largest: bool = True

    def __post_init__(self) -> None:
        if self.how not in metrics.HOW or not self.metric:
            raise UserError(
                f"search: {self.name} is no objective. Write {'/, '.join(metrics.HOW)}/ and a metric, as in "
                "best/id/em or "
                "mean/actor/pg_clipfrac"
            )

    @property
    def how(self) -> str:
        return self.name.partition("/")[0]

    @property
    def metric(self) -> str:
        """The metric as the run logs it: `val/id/em` for `best/id/em`, also of dev and ood; others in full."""
        name = self.name.partition("/")[2]
        return f"val/{name}" if name.partition("/")[0] in measures.SETS else name

    @property
    def direction(self) -> str:
        return "maximize" if self.largest else "minimize"

    def value(self, merged: Merged) -> float:
        """Return the number of one run's curve. UserError where the metric was not measured."""
        found = [value for _, value in metrics.series(merged, self.metric) if not math.isnan(value)]
        if not found:
            measured = sorted({name for at in merged.values() for name in at})
            raise UserError(
                f"search: {self.name}: no run measures {self.metric}; there are: {', '.join(measured)[:300]}"
            )
        return metrics.reduce(found, self.how, self.largest)

    def mean(self, runs: Sequence[Merged]) -> float:
        """Its mean over the runs of a trial."""
        return math.fsum(self.value(run) for run in runs) / len(runs)


def curve(runs: Sequence[Merged], metric: str, after: int = 0) -> list[tuple[int, float]]:
    """(step, mean over the runs) at each step after ``after`` that every run has reached, in order.

    Step 0 is before any training: it says nothing of a trial.
    """
    series = [dict(metrics.series(run, metric)) for run in runs]
    steps = sorted(set.intersection(*map(set, series))) if series else []
    return [(step, math.fsum(one[step] for one in series) / len(series)) for step in steps if step > after]
