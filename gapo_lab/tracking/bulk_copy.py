"""Copies finished runs that MLflow does not hold yet straight into its database, many at a time.

MLflow then holds what `Copier` would have given it, row by row. What is not new, has not finished or cannot be read is
left to it. A batch is one transaction: one that is cut off leaves nothing, and the next copy makes it good.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gapo_lab.errors import UserError
from gapo_lab.runs import naming, studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State
from gapo_lab.tracking import artifacts, cell_means, mapping, mlflow_client, study_page
from gapo_lab.tracking.copier import CELL, FILES, IS_CELL, KEY, SENDING, SENT, Copier
from gapo_lab.tracking.database import COLUMNS, Database, open_database
from gapo_lab.tracking.mapping import Sample

if TYPE_CHECKING:
    from mlflow import MlflowClient

FEW = 3  # so many runs are copied as well one by one
BATCH = 50  # runs of one transaction
# The tags that MLflow gives a run, and its highest number: infinity.
NAME, PARENT = "mlflow.runName", "mlflow.parentRunId"
INFINITE = 1.7976931348623157e308

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
    keys: set[str]  # of the runs that it holds
    cells: dict[str, str] = field(default_factory=dict)


class _Copying:
    def __init__(self, folders: Sequence[RunFolder], uri: str, client: MlflowClient, database: Database) -> None:
        self.folders, self.uri, self.client, self.database = folders, uri, client, database
        self.root = folders[0].path.parent
        self._studies: dict[str, _Study | None] = {}
        self._shared = studies.by_key(self.root)

    def all(self) -> dict[Path, str]:
        out: dict[Path, str] = {}
        for start in range(0, len(self.folders), BATCH):
            out |= self._batch(self.folders[start : start + BATCH])
        for study in filter(None, self._studies.values()):
            for parent in study.cells.values():
                cell_means.log_means(self.client, study.experiment, parent)
            study_page.set_up(self.client, study.experiment)
        return out

    def _batch(self, folders: Sequence[RunFolder]) -> dict[Path, str]:
        read = {folder.path: run for folder in folders if (run := _read(folder))}
        wanted = {path: self._of(run) for path, run in read.items()}
        out: dict[Path, str] = {}
        rows: Rows = {table: [] for table in COLUMNS}
        for path, names in wanted.items():  # before the lock, which making one takes, too
            for study in filter(None, map(self._study, names)):
                self._parent(study, read[path])
        with mlflow_client.creating(self.uri, self.root):
            for study in filter(None, self._studies.values()):
                study.keys = self.database.tagged(study.experiment, KEY)
            for path, names in wanted.items():
                found = [self._study(name) for name in names]
                if any(study is None or read[path].key in study.keys for study in found):
                    continue
                ids = [self._add(rows, study, read[path]) for study in found if study]
                out[path] = ids[0]
            self.database.insert(rows)
        return out

    def _of(self, run: _Run) -> list[str]:
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
                self._studies[name] = _Study(experiment, place, set())
        return self._studies[name]

    def _parent(self, study: _Study, run: _Run) -> str:
        cell = naming.cell_id(run.spec)
        if cell not in study.cells:
            with mlflow_client.creating(self.uri, self.root):
                copier = Copier(run.folder, self.uri, self.client)
                study.cells[cell] = copier.cell(study.experiment)
        return study.cells[cell]

    def _add(self, rows: Rows, study: _Study, run: _Run) -> str:
        """Add the rows of a run of this study, and write its files; the id that it will have."""
        id = uuid.uuid4().hex
        place = f"{study.files.rstrip('/')}/{id}/artifacts"
        folder = Path(str(_path(place)))
        for name, text in run.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        name, now = naming.run_name(run.spec), mapping.milliseconds(time.time())
        started = mapping.milliseconds(run.started) if run.started else now
        ended = int(run.ended * 1000) if run.ended else now
        about = (id, name, "UNKNOWN", "", "", "unknown", "FINISHED", started, ended, "", "active", place)
        rows["runs"].append((*about, int(study.experiment)))
        tags = {**run.tags, KEY: run.key, PARENT: self._parent(study, run), NAME: name}
        rows["tags"] += [(key, value, id) for key, value in tags.items()]
        rows["params"] += [(key, value, id) for key, value in run.params.items()]
        rows["metrics"] += [(*point, id) for point in run.points]
        rows["latest_metrics"] += [(*point, id) for point in _latest(run.points)]
        return id


# A run as it stands in its folder

Point = tuple[str, float, int, int, bool]  # name, value, milliseconds, step, whether the value is NaN


@dataclass(frozen=True)
class _Run:
    folder: RunFolder
    spec: Mapping[str, Any]
    started: float | None
    ended: float | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Sequence[Point]
    files: Mapping[str, str]

    @property
    def key(self) -> str:
        return self.folder.key


def _read(folder: RunFolder) -> _Run | None:
    """Return a finished run; None for any other, and for one that cannot be read, which the copier says why."""
    try:
        status = folder.status()
        if status.state is not State.FINISHED:
            return None
        spec, started = folder.spec, folder.started()
        attempts = {attempt.number: attempt.rows() for attempt in folder.attempts()}
        mark, samples = mapping.to_send(attempts, folder.summary())
        files = artifacts.collect(folder)
        about = mapping.tags(spec, folder.provenance(), status, started)
        config = folder.config_values(mapping.SETTINGS.values())
    except (UserError, OSError, ValueError, TypeError, AttributeError):
        return None
    tags = {**about, SENDING: mark.to_text(), SENT: mark.to_text(), FILES: artifacts.mark(files)}
    params = mapping.params(spec, config)
    points = list(dict.fromkeys(map(_point, samples)))
    names = {point[0] for point in points}
    if IS_CELL in tags or CELL not in tags or not all(map(mapping.is_plain, names)):
        return None
    return _Run(folder, spec, started, status.updated, tags, params, points, files)


def _point(sample: Sample) -> Point:
    """As MLflow stores it: its databases know neither NaN nor infinity."""
    name, step, text, milliseconds = sample
    value = float(text)
    if math.isfinite(value):
        return name, value, milliseconds, step, False
    if math.isnan(value):
        return name, 0.0, milliseconds, step, True
    return name, math.copysign(INFINITE, value), milliseconds, step, False


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
