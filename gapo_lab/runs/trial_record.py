"""Which trial of a search each run measures, and the run's values of the objectives.

The search writes it to `runs/.searches/<study>/trials.json`, so that others can tell without Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from gapo_lab.utils import atomic_files

FOLDER, NAME = ".searches", "trials.json"


class TrialRun(NamedTuple):
    """A run of a search: the trials that it measures, and its value of each objective; none until it is known."""

    trials: Sequence[int] = ()
    values: Sequence[float] = ()


@dataclass(frozen=True)
class TrialRecord:
    """What is recorded of a search: the names of its objectives, and its runs by key."""

    objectives: tuple[str, ...] = ()
    runs: Mapping[str, TrialRun] = field(default_factory=dict)


def folder(root: Path, study: str) -> Path:
    """Return where the files of a search are: its trials, its lock, its result."""
    return Path(root) / FOLDER / study


def read(root: Path, study: str) -> TrialRecord:
    """Return what is recorded of a study; nothing where it is no search."""
    path = folder(root, study) / NAME
    found = atomic_files.read_json(path) if path.exists() else None
    if found is None:
        return TrialRecord()
    return TrialRecord(tuple(found["objectives"]), {key: TrialRun(*run) for key, run in found["runs"].items()})


def add(root: Path, study: str, objectives: Sequence[str], trial: int, values: Mapping[str, Sequence[float]]) -> None:
    """Record the runs of a trial. values: of the objectives, by the run's key; () of a run that has not ended."""
    before = read(root, study).runs
    now = {}
    for key, new in values.items():
        known = before.get(key, TrialRun())
        now[key] = TrialRun(sorted({*known.trials, trial}), new or known.values)
    content = {"objectives": list(objectives), "runs": {**before, **now}}
    atomic_files.make_folder(folder(root, study))
    atomic_files.write_json(folder(root, study) / NAME, content)
