"""What a report is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.results.measurements import CLIPPED, DEV, EXPECTED, ID, OOD, THROUGHPUT
from analysis.results.spending import SPENT


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

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """Those of its figures, too, and those that are read in their place or choose a step."""
        spent = (*SPENT.values(), THROUGHPUT) if any(metric.startswith("val/") for metric in self.metrics) else ()
        found = (*self.metrics, *(metric + EXPECTED for metric in self.metrics), *DEV, *spent)
        return found if self.is_slice or not self.figures else (*found, CLIPPED, THROUGHPUT)
