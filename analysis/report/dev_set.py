"""What a report takes from the dev set: the curves that choose a step, and those that learning curves are fitted to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from analysis.report.options import Asked
from analysis.results.measurements import Measured, measure
from analysis.results.runs import Selection
from analysis.results.source import Source
from analysis.tables import captions, learning_curves
from analysis.tables.paper import Results
from analysis.tables.table import Table
from gapo_lab.runs.picked import choosing, on_dev


def fitted(source: Source, asked: Asked, selection: Selection, drawn: Mapping[str, Results]) -> list[Table]:
    """Return the tables of ScaleRL's curve.

    Test sets of one measure share its dev curve, so they have one table, with the methods of all their claims.
    """
    tables: list[Table] = []
    for dev in dict.fromkeys(map(on_dev, drawn)):
        alike = [results for metric, results in drawn.items() if on_dev(metric) == dev]
        measured = None if dev in drawn else _on_dev(source, asked, selection, dev, alike)
        if measured is not None:
            compared = tuple(one for results in alike for one in results.comparisons)
            alike = [replace(alike[0], measured=measured, comparisons=compared)]
        tables += [table for results in alike if (table := _table(asked, results))]
    return tables


def on_dev_set(source: Source, asked: Asked, selection: Selection, metrics: Collection[str]) -> list[Measured]:
    """Return what was measured on the dev set: what chooses a step for these metrics, and the same measures there."""
    validated = [metric for metric in metrics if metric.startswith("val/")]
    names = dict.fromkeys(name for metric in validated for name in (*choosing(metric), on_dev(metric)))
    ids = [run.id for run in selection.runs]
    there = [name for name in names if name not in metrics and source.curves(ids, name)]
    return [measure(source, selection, name, asked.pick, exactly=True) for name in there]


def _on_dev(
    source: Source, asked: Asked, selection: Selection, metric: str, alike: Sequence[Results]
) -> Measured | None:
    """Return a metric of the dev set; None unless every run that has the measure on a test set has it there."""
    if not source.curves([run.id for run in selection.runs], metric):
        return None
    found = measure(source, selection, metric, asked.pick, exactly=asked.metric is not None)
    curves = {cell: trials.curves.keys() for cell, trials in found.by_cell.items()}
    tested = [pair for results in alike for pair in results.measured.by_cell.items()]
    return found if all(curves[cell] >= trials.curves.keys() for cell, trials in tested) else None


def _table(asked: Asked, results: Results) -> Table | None:
    title = f"{captions.title(results.measured)}: learning curves"
    return learning_curves.table(results, f"statistics_curves{asked.suffix(results.measured.metric)}", title)
