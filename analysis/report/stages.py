"""The first stage of a study in two stages (`+sweep=fair`): the runs that each method was tuned by."""

from __future__ import annotations

from analysis.report.options import Asked
from analysis.results import runs
from analysis.results.measurements import measure
from analysis.results.source import Source
from analysis.sources import connect
from analysis.tables.tuning import Tuned, tuned
from gapo_lab.errors import UserError
from gapo_lab.runs.picked import choosing
from gapo_lab.search.tuning import STUDY


def tuning(source: Source, asked: Asked) -> Tuned:
    """Return what was tried for each method of the studies, measured on the dev set; nothing where they had one stage.

    UserError where its runs measured no metric of the dev set.
    """
    there = source.studies()
    names = [name for study in asked.studies if (name := STUDY.format(study)) in there]
    if not names or asked.is_slice:
        return Tuned()
    selection = runs.select(connect.find_runs(source, names, asked.runs_root), asked.where)
    cells = [cell.id for cell in selection.cells if cell.runs]
    for metric in choosing(asked.tests[0]):
        measured = measure(source, selection, metric, exactly=True)
        if all(measured.by_cell[cell].values for cell in cells):
            return tuned(selection, measured) if cells else Tuned()
    raise UserError(f"study {names[0]}: not every run measured its dev set, so what it chose cannot be shown")
