"""Runs that were finished before a study asked for them: their copies on the study's page in MLflow.

A run that trains brings the study's finished ones along (`gapo_lab.tracking.copier`); where all are finished, none
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from gapo_lab.planning.plan import Planned
from gapo_lab.runs import studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import uri
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import several, type_and_line


def joining(root: Path, runs: Sequence[Planned]) -> list[str]:
    """Return the keys of those runs that their study has not asked for before."""
    known = {study: studies.of_study(root, study) for study in {run.valid_spec.study for run in runs}}
    return [run.key for run in runs if run.key not in known[run.valid_spec.study]]


def show(root: Path, joined: Sequence[str], runs: Sequence[Planned], console: Console) -> None:
    """Copy ``joined`` to the page of their study where every run of the command is finished.

    Where MLflow cannot be reached it says how to copy them later.
    """
    folders = [RunFolder(root / key) for key in joined]
    tracked = all(run.settings["tracking"] == "live" for run in runs)
    if not folders or not tracked or not all(RunFolder(root / run.key).is_finished for run in runs):
        return
    from gapo_lab.tracking.copy_runs import copy_all

    study = runs[0].valid_spec.study
    try:
        failed = [result for result in copy_all(folders).values() if isinstance(result, Exception)]
        problem = failed[0] if failed else None
    except Exception as error:  # noqa: BLE001 - MLflow is away; the run folders keep everything
        problem = error
    text = f"study {study} in MLflow: {several(len(folders), 'finished run')} copied to its page"
    if problem:
        later = uri.command("sync", study, root=root)
        text = f"MLflow could not be reached ({type_and_line(problem)}). Copy the study's runs later: {later}"
    say(console, text, markup=False)
