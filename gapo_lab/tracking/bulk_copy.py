"""Copies finished runs that MLflow does not hold yet straight into its database, many at a time.

MLflow then holds what `Copier` would have given it, row by row. What is not new, has not finished or cannot be read is
left to it. A batch is one transaction: one that is cut off leaves nothing, and the next copy makes it good.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gapo_lab.errors import UserError
from gapo_lab.runs import naming, studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import cell_means, finished_runs, mapping, mlflow_client, study_page
from gapo_lab.tracking.copier import CELL, KEY, Copier
from gapo_lab.tracking.database import COLUMNS, Database, open_database
from gapo_lab.tracking.finished_runs import FinishedRun, Point

if TYPE_CHECKING:
    from mlflow import MlflowClient

FEW = 3  # so many runs are copied as well one by one
# The tags that MLflow gives a run.
NAME, PARENT = "mlflow.runName", "mlflow.parentRunId"

Rows = dict[str, list[Sequence[Any]]]


def copy(folders: Sequence[RunFolder], uri: str, client: MlflowClient) -> dict[Path, str]:
    """Copy those of the runs that can be; the ids of their MLflow runs in the study that asked first, by folder."""
    finished = [folder for folder in folders if folder.is_finished]
    if len(finished) < FEW or (database := open_database(uri)) is None:
        return {}
    with database:
        return _Copying(finished, uri, client, database).all()


@dataclass
class _Study:
    """An experiment, where its files lie, and the parent runs of its cells."""

    experiment: str
    files: str
    keys: set[str] = field(default_factory=set)  # of the runs that it holds
    known: set[str] = field(default_factory=set)  # the ids of their cells
    cells: dict[str, str] = field(default_factory=dict)  # the parent runs of the cells that were copied to
    measured: dict[str, None] = field(default_factory=dict)  # what its runs are about, in order

    def place(self, run: str) -> str:
        """Return the address of the files of a run."""
        return f"{self.files.rstrip('/')}/{run}/artifacts"


class _Copying:
    def __init__(self, folders: Sequence[RunFolder], uri: str, client: MlflowClient, database: Database) -> None:
        self.folders, self.uri, self.client, self.database = folders, uri, client, database
        self.root = folders[0].path.parent
        self._studies: dict[str, _Study | None] = {}
        self._shared = studies.by_key(self.root)

    def all(self) -> dict[Path, str]:
        out: dict[Path, str] = {}
        with closing(finished_runs.read_all(self.folders)) as batches:
            for runs in batches:
                out |= self._batch(runs)
        for study in filter(None, self._studies.values()):
            for parent in study.cells.values():
                numbers, counted = self.database.finished(parent), self.database.latest(parent, cell_means.SEEDS)
                cell_means.log_means_of(self.client, parent, numbers, counted or 0)
            study_page.set_up(self.client, study.experiment, list(study.measured))
        return out

    def _batch(self, runs: Sequence[FinishedRun]) -> dict[Path, str]:
        wanted = [(run, [self._study(name) for name in self._of(run)]) for run in runs]
        out: dict[Path, str] = {}
        rows: Rows = {table: [] for table in COLUMNS}
        with mlflow_client.creating(self.uri, self.root):
            for study in filter(None, self._studies.values()):
                study.keys = self.database.tagged(study.experiment, KEY)
                study.known = self.database.tagged(study.experiment, CELL)
            for run, found in wanted:
                if any(study is None or run.key in study.keys for study in found):
                    continue
                ids = [self._add(rows, study, run) for study in found if study]
                out[run.folder.path] = ids[0]
            self.database.insert(rows)
        return out

    def _of(self, run: FinishedRun) -> list[str]:
        """Return the studies that asked for a run, the first of them first."""
        first = str(run.spec.get("study") or "default")
        others = (study for study in self._shared.get(run.key, ()) if study != first)
        return [first, *(study for study in others if not mlflow_client.is_deleted(self.client, study))]

    def _study(self, name: str) -> _Study | None:
        """Return the experiment of a study; None where its runs are left to the copier."""
        if name not in self._studies:
            self._studies[name] = None
            try:
                experiment = mlflow_client.experiment(self.client, self.uri, name)
            except UserError:
                return None
            place = self.client.get_experiment(experiment).artifact_location
            if _path(place) is not None:
                self._studies[name] = _Study(experiment, place)
        return self._studies[name]

    def _parent(self, rows: Rows, study: _Study, run: FinishedRun) -> str:
        """Return the id of the parent run of its cell; where there is none yet, its rows are added."""
        cell = naming.cell_id(run.spec)
        if cell in study.cells:
            return study.cells[cell]
        if study.known & {cell, mapping.old_cell_id(run.spec)}:
            id = Copier(run.folder, self.uri, self.client).cell(study.experiment)
        else:
            tags, params = mapping.cell_tags(run.spec), mapping.cell_params(run.spec)
            id = _add_run(rows, study, naming.cell_name(run.spec), tags, params)
        study.cells[cell] = id
        return id

    def _add(self, rows: Rows, study: _Study, run: FinishedRun) -> str:
        """Add the rows of a run of this study, and write its files; the id that it will have."""
        tags = {**run.tags, KEY: run.key, PARENT: self._parent(rows, study, run)}
        id = _add_run(rows, study, naming.run_name(run.spec), tags, run.params, run.started, run.ended)
        study.measured |= dict.fromkeys(run.measured)
        folder = Path(str(_path(study.place(id))))
        for name, text in run.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        rows["metrics"] += [(*point, id) for point in run.points]
        rows["latest_metrics"] += [(*point, id) for point in _latest(run.points)]
        return id


def _add_run(
    rows: Rows,
    study: _Study,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, str],
    started: float | None = None,
    ended: float | None = None,
) -> str:
    """Add the rows of a finished run without its points, and return its id; started and ended: now, unless known."""
    id, now = uuid.uuid4().hex, mapping.milliseconds(time.time())
    times = mapping.milliseconds(started) if started else now, int(ended * 1000) if ended else now
    about = (id, name, "UNKNOWN", "", "", "unknown", "FINISHED", *times, "", "active", study.place(id))
    rows["runs"].append((*about, int(study.experiment)))
    rows["tags"] += [(key, value, id) for key, value in {**tags, NAME: name}.items()]
    rows["params"] += [(key, value, id) for key, value in params.items()]
    return id


def _latest(points: Sequence[Point]) -> Iterator[Point]:
    """Return the newest point of each metric, as MLflow sees it: by step, time and value."""
    newest: dict[str, Point] = {}
    for point in points:
        name, value, milliseconds, step, _ = point
        old = newest.get(name)
        if old is None or (step, milliseconds, value) > (old[3], old[2], old[1]):
            newest[name] = point
    yield from newest.values()


def _path(place: str) -> Path | None:
    """Return the folder of this machine at an artifact address; None where it lies elsewhere."""
    parts = urlsplit(place)
    if parts.query or parts.fragment or parts.netloc or parts.scheme not in ("", "file"):
        return None
    path = Path(unquote(parts.path) if parts.scheme else place)
    return path if path.is_absolute() else None
