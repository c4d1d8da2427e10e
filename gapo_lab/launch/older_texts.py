"""Runs that stopped before a file of the user's was edited: their study waits for them, and no command starts them.

The text of a reward or a method is in the run key, so after an edit the same command makes another run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from gapo_lab.launch import run_states
from gapo_lab.planning.planned import Planned
from gapo_lab.runs import naming, studies
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.runs.status import STOPPED
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import several

SHOWN = 5  # runs named one by one


def show(root: Path, runs: Iterable[Planned], console: Console) -> None:
    """Name the stopped runs of these runs' studies that differ from one of them in the text of a file alone."""
    edited = [run for run in runs if run.spec and naming.texts(run.spec.as_dict())]
    found = list(dict.fromkeys(_found(root, edited))) if edited else []
    if not found:
        return
    it = "it" if len(found) == 1 else "them"
    files = " and ".join(sorted({names for _, names in found}))
    removed = "; ".join(lab_command("forget", key, "--with-results", root=root) for key, _ in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    text = (
        f"note {several(len(found), 'run')} stopped with another text of {files}: the study still waits for {it}. If "
        f"nobody needs {it}: {removed}{more}"
    )
    say(console, text, markup=False)


def _found(root: Path, edited: Sequence[Planned]) -> Iterator[tuple[str, str]]:
    """Yield the key of each such run, and the names of the files."""
    mine = {naming.without_texts(run.valid_spec.as_dict()): run.valid_spec.as_dict() for run in edited}
    keys = {key for study in {run.valid_spec.study for run in edited} for key in studies.of_study(root, study)}
    with RunRoot(root, remember=False) as runs:
        states = run_states.read(root, sorted(keys - {run.key for run in edited}), runs)
        for key, status in states.items():
            if status.state in STOPPED and (spec := mine.get(naming.without_texts(runs.folder(key).spec))):
                yield key, " and ".join(naming.texts(spec))
