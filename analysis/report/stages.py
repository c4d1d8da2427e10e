"""The first stage of a study in two stages (`+sweep=fair`): the runs that each method was tuned by."""

from __future__ import annotations

from dataclasses import replace

from analysis.report.options import Asked
from analysis.results import runs
from analysis.results.measurements import measure, once_trained
from analysis.results.runs import Selection
from analysis.results.source import Source
from analysis.sources import connect
from analysis.tables.tuning import Tuned, tuned
from gapo_lab.errors import UserError
from gapo_lab.runs.picked import choosing
from gapo_lab.search.tuning import STUDY

# Of a run's parameters those that say what is trained on and how long, not how: both stages share them.
TRAINING = ("data", "scale", "steps", "prompts", "rollouts")


def tuning(source: Source, asked: Asked, compared: Selection | None = None) -> Tuned:
    """Return what was tried for each method of the studies, measured on the dev set; nothing where they had one stage.

    compared: the runs of the second stage, where there are some. Runs of the first that trained on other data or for
    another number of steps chose nothing for these: an earlier form of the study. UserError where its runs measured no
    metric of the dev set.
    """
    there = source.studies()
    names = [name for study in asked.studies if (name := STUDY.format(study)) in there]
    if not names or asked.is_slice:
        return Tuned()
    tried = connect.find_runs(source, names, asked.runs_root)
    alike = _training(compared) if compared is not None else {}
    others = [run for run in tried if any(run.params.get(name) != value for name, value in alike.items())]
    tried = [run for run in tried if run not in others]
    selection = runs.select(tried, asked.where)
    cells = [cell.id for cell in selection.cells if cell.runs]
    for metric in choosing(asked.tests[0]):
        measured = once_trained(measure(source, selection, metric, exactly=True))
        if all(measured.by_cell[cell].values for cell in cells):
            return replace(tuned(selection, measured) if cells else Tuned(), others=len(others))
    raise UserError(f"study {names[0]}: not every run measured its dev set, so what it chose cannot be shown")


def _training(compared: Selection) -> dict[str, str | None]:
    """Return of `TRAINING` what all runs of the second stage agree in."""
    found = {name: {run.params.get(name) for run in compared.runs} for name in TRAINING}
    return {name: values.pop() for name, values in found.items() if len(values) == 1}
