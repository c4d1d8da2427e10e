"""What `gapo_lab status` shows: a row for each run, by study, cell and seed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from gapo_lab.errors import UserError
from gapo_lab.runs import measures, naming, trial_record
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.kept_spec import Label
from gapo_lab.runs.run_root import ahead
from gapo_lab.runs.status import NEW, RunStatus, State
from gapo_lab.runs.trial_record import TrialRecord


class Row(NamedTuple):
    """What the table shows of one run.

    ``cell`` is '' if the spec cannot be read. ``about``: the run's main measure. ``best``: its best value on each test
    set. ``seen``: seconds since the run was last updated. ``trials``: of a search, those that it measures;
    ``objectives``: its values of what the search maximizes or minimizes, as far as they are known.
    """

    key: str
    study: str
    cell: str
    seed: int | None
    state: State
    step: str = ""
    best: Mapping[str, float] = MappingProxyType({})
    about: str = ""
    seen: float | None = None
    message: str = ""
    trials: tuple[int, ...] = ()
    objectives: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Table:
    """The runs by study, cell and seed. ``common``: study -> settings of all of its cells, which their names omit."""

    rows: tuple[Row, ...]
    common: Mapping[str, Sequence[str]]


def read(
    folders: Iterable[RunFolder],
    states: Mapping[str, RunStatus],
    now: float,
    study: str | None = None,
) -> Table:
    """Read the runs. study: the study that was asked for; it is shown in place of the first study of each run."""
    folders = list(folders)
    ahead(folders, lambda folder: (folder.label(), folder.numbers()))
    by_study: dict[str, list[tuple[RunFolder, Label]]] = {}
    broken = []
    for folder in folders:
        try:
            label = folder.label()
            by_study.setdefault(study or str(label.study), []).append((folder, label))
        except UserError as error:
            broken.append(Row(folder.key, "", "", None, State.BROKEN, message=str(error)))
    found, common = [], {}
    for name, runs in sorted(by_study.items()):
        cells = naming.one_of_each((label.cell, label.spec) for _, label in runs)
        common[name] = naming.in_common(cells.values())
        names = naming.cell_names(cells.values(), common[name])
        record = trial_record.read(runs[0][0].path.parent, name)
        rows = [
            _of_search(_row(folder, name, names[label.cell], label.seed, states.get(folder.key, NEW), now), record)
            for folder, label in runs
        ]
        cell, seed = _places(names.values()), _places({str(row.seed) for row in rows})
        found += sorted(rows, key=lambda row: (cell[row.cell], seed[str(row.seed)], row.key))
    return Table((*found, *broken), common)


def _row(folder: RunFolder, study: str, cell: str, seed: int | None, status: RunStatus, now: float) -> Row:
    try:
        numbers = folder.numbers()
    except UserError as error:  # one broken folder must not hide the others
        return Row(folder.key, study, cell, seed, State.BROKEN, message=str(error))
    return Row(
        key=folder.key,
        study=study,
        cell=cell,
        seed=seed,
        state=status.state,
        step=f"{_step(numbers, status):.0f}/{status.total_steps or '?'}",
        best=measures.best_of_each(numbers),
        about=measures.of_summary(numbers) or "",
        seen=None if status.updated is None else max(0.0, now - status.updated),
        message=_message(folder, status),
    )


def _of_search(row: Row, record: TrialRecord) -> Row:
    """Return the row with what is recorded of its run, if a search has started it."""
    found = record.runs.get(row.key)
    if found is None:
        return row
    values = dict(zip(record.objectives, found.values, strict=False))
    return row._replace(trials=tuple(found.trials), objectives=values)


def _step(numbers: Mapping[str, float], status: RunStatus) -> float:
    """Return the step of the run. Steps of an earlier attempt after its last checkpoint do not count."""
    return status.step if status.is_active else numbers.get("final/step", 0)


def _message(folder: RunFolder, status: RunStatus) -> str:
    """Return why a run waits or has stopped, and what to do; '' if it has finished, or trains."""
    if status.state is State.FINISHED or (status.state is State.RUNNING and status.step):
        return ""
    return "\n".join(text for text in (status.message, status.advice(folder.key, folder.path.parent)) if text)


def _places(names: Iterable[str]) -> dict[str, int]:
    """Return the place of each name among all, as `_natural` sorts them."""
    return {name: place for place, name in enumerate(sorted(set(names), key=lambda name: (_natural(name), name)))}


def _natural(text: str) -> list:
    """Return a key that sorts `tau=0.5` before `tau=0.10`, and seed 9 before seed 10."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", text)
    return [(0, float(part), "") if place % 2 else (1, 0.0, part) for place, part in enumerate(parts)]
