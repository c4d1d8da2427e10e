"""What a report is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.results.measurements import CLIPPED, DEV, ID, OOD, THROUGHPUT
from analysis.results.spending import SPENT
from gapo_lab.runs import measures
from gapo_lab.runs.picked import on_dev


@dataclass(frozen=True)
class Asked:
    """The words of the command line, typed."""

    studies: tuple[str, ...]
    metric: str | None = None
    rows: tuple[str, ...] = ("algo",)
    columns: tuple[str, ...] = ("model",)
    pick: str | None = None
    spread: bool = False
    allow_incomplete: bool = False
    seeds: int | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    against_paper: bool = False
    figures: bool = True
    cases: Mapping[str, int] = field(default_factory=dict)
    runs_root: Path = Path("runs")
    data: Path | None = None
    # of the figures: a key of plot_style.FONTS
    font: str = "screen"
    # what the study is about on each of its test sets, once its runs are known
    tests: tuple[str, ...] = (ID, OOD)

    @property
    def is_slice(self) -> bool:
        """Other axes or another metric than the paper's tables."""
        return self.metric is not None or (self.rows, self.columns) != (("algo",), ("model",))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its tables."""
        if self.metric is not None:
            return (self.metric,)
        return self.tests[:1] if self.is_slice else self.tests

    def suffix(self, metric: str) -> str:
        """Return what the names of a metric's tables end with: `_id`; of a slice, all that was asked for."""
        if not self.is_slice:
            return f"_{metric.split('/')[1]}"
        words = [*self.rows, "by", *self.columns, self.metrics[0]]
        return "_" + re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(words))

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """Those of its figures and fitted curves, too, and those that are read in their place or choose a step."""
        spent = (*SPENT.values(), THROUGHPUT) if any(metric.startswith("val/") for metric in self.metrics) else ()
        found = (*self.metrics, *map(measures.expected, self.metrics), *DEV, *spent)
        found = (*found, *map(on_dev, self.metrics))
        return found if self.is_slice or not self.figures else (*found, CLIPPED, THROUGHPUT)
