"""Results of runs that are only their curves: no folder, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np

from analysis.results.curves import Curve
from analysis.results.measurements import measure
from analysis.results.runs import Run, select
from analysis.tables import paper
from analysis.tables.paper import Results

METRICS = ("val/id/em", "val/dev/em")


def results(
    curves: Mapping[str, Sequence[Sequence[float]]], pick: str | None = None, metrics: Sequence[str] = METRICS
) -> Results:
    """Return the results on the ID test set: {method: a curve over steps 0, 10, 20, ... for each seed}, on nano.

    All metrics have the same curves.
    """
    by_run, runs = {}, []
    for algo, of_seeds in curves.items():
        for seed, values in enumerate(of_seeds):
            name = f"{algo}{seed}"
            runs.append(Run(name, "s", "", name, "FINISHED", 0, {"model": "nano", "algo": algo, "seed": str(seed)}))
            by_run[name] = Curve(10 * np.arange(len(values)), np.array(values, dtype=float))
    source = SimpleNamespace(curves=lambda ids, name: by_run if name in metrics else {})
    selection = select(runs)
    return paper.results(selection.cells, measure(source, selection, METRICS[0], pick), selection.seeds)
