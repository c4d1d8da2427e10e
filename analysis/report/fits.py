"""The fitted learning curves of a report: on the dev set where every run has one, else on each test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.report.options import Asked
from analysis.results.measurements import Measured, measure
from analysis.results.runs import Selection
from analysis.results.source import Source
from analysis.tables import captions, learning_curves
from analysis.tables.paper import Results
from analysis.tables.table import Table
from gapo_lab.runs.picked import on_dev


def fitted(
    source: Source, asked: Asked, selection: Selection, drawn: Mapping[str, Results]
) -> tuple[list[Table], list[Measured]]:
    """Return the tables of ScaleRL's curve, and what was measured on the dev set for them.

    Test sets of one measure share its dev curve, so they have one table, with the methods of all their claims.
    """
    tables: list[Table] = []
    more: list[Measured] = []
    for dev in dict.fromkeys(map(on_dev, drawn)):
        alike = [results for metric, results in drawn.items() if on_dev(metric) == dev]
        measured = None if dev in drawn else _on_dev(source, asked, selection, dev, alike)
        if measured is not None:
            compared = tuple(one for results in alike for one in results.comparisons)
            alike = [replace(alike[0], measured=measured, comparisons=compared)]
        found = [table for results in alike if (table := _table(asked, results))]
        tables += found
        more += [measured] if found and measured is not None else []
    return tables, more


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
