"""Runs and curves straight from MLflow's SQLite tables, read-only: no MLflow, one query a metric."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from analysis.results import curves as building
from analysis.results.curves import Curve
from analysis.results.runs import Run, from_mlflow
from analysis.results.source import SUMMARISED
from gapo_lab.errors import UserError
from gapo_lab.tracking import uri as addresses

# What is read, by table. A database that lacks one is of another MLflow.
NEEDED = {
    "experiments": {"experiment_id", "name", "lifecycle_stage"},
    "runs": {"run_uuid", "name", "status", "start_time", "lifecycle_stage", "experiment_id"},
    "params": {"key", "value", "run_uuid"},
    "tags": {"key", "value", "run_uuid"},
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
}
INFINITE = 1.7976931348623157e308  # how MLflow stores infinity
MANY = 0.2  # from this share of all runs on, a whole metric is read in the order of its index
POINT = np.dtype([("run", "S32"), ("step", "i8"), ("time", "i8"), ("value", "f8"), ("is_nan", "?")])


class Sqlite:
    """MLflow's database file behind a ``sqlite:`` address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        path = addresses.sqlite_path(uri)
        if path is None:
            raise UserError(f"MLflow address {uri} names no file. Write sqlite:///FILE")
        self.path = path
        if not self.path.exists():
            raise UserError(
                f"{self.path} is not there. Run something first, copy runs to it "
                "(python -m gapo_lab sync), or name another place with --uri"
            )
        self._check()

    @property
    def place(self) -> str:
        return f"MLflow at {self.uri}"

    def problems(self) -> Sequence[str]:
        return ()

    def _check(self) -> None:
        try:
            with self._open() as database:
                for table, columns in NEEDED.items():
                    there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
                    if not columns <= there:
                        lacks = f"table {table}" if not there else f"{table}.{min(columns - there)}"
                        raise UserError(
                            f"{self.path} is no database of this MLflow ({lacks} is missing). Keep a copy "
                            f"of it, then: mlflow db upgrade {self.uri}"
                        )
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path} cannot be read as an SQLite database: {error}") from error

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            yield database

    def studies(self) -> dict[str, str]:
        with self._open() as database:
            rows = database.execute("SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'")
            return {name: str(id) for name, id in rows}

    def runs(self, studies: Mapping[str, str], keys: Collection[str] | None = None) -> list[Run]:
        by_id = {id: name for name, id in studies.items()}
        marks = ", ".join("?" * len(by_id))
        chosen = f"SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' AND experiment_id IN ({marks})"
        ids = [int(id) for id in by_id]
        with self._open() as database:
            words: dict[str, dict[str, dict[str, str]]] = {}
            for table in ("params", "tags"):
                words[table] = defaultdict(dict)
                asked = f"SELECT run_uuid, key, value FROM {table} WHERE run_uuid IN ({chosen})"
                for run, key, value in database.execute(asked, ids):
                    words[table][run][key] = value
            rows = database.execute(
                "SELECT run_uuid, experiment_id, name, status, start_time FROM runs "
                f"WHERE lifecycle_stage = 'active' AND experiment_id IN ({marks})",
                ids,
            ).fetchall()
        found = [
            from_mlflow(
                id,
                (str(experiment), by_id[str(experiment)]),
                name or "",
                status or "",
                start or 0,
                words["params"].get(id, {}),
                words["tags"].get(id, {}),
            )
            for id, experiment, name, status, start in rows
        ]
        return [run for run in found if keys is None or run.identity in keys]

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        with self._open() as database:
            total = database.execute("SELECT count(*) FROM runs").fetchone()[0]
            if len(runs) >= MANY * total:
                # Only the key is asked for, so that SQLite walks its covering index of keys.
                points = [_points(database, "key = ?", (metric,))]
            else:
                blocks = (runs[i : i + 500] for i in range(0, len(runs), 500))
                points = [
                    _points(
                        database,
                        f"run_uuid IN ({', '.join('?' * len(some))}) AND key = ?",
                        (*some, metric),
                    )
                    for some in blocks
                ]
        if not points or not runs:
            return {}
        found = np.concatenate(points)
        names = np.array(sorted(runs), found["run"].dtype)
        codes = np.minimum(np.searchsorted(names, found["run"]), len(names) - 1)
        found, codes = (column[names[codes] == found["run"]] for column in (found, codes))
        values = np.where(found["is_nan"], np.nan, found["value"])
        values[values >= INFINITE], values[values <= -INFINITE] = np.inf, -np.inf
        built = building.build(codes, found["step"], found["time"], values)
        return {names[code].decode(): curve for code, curve in built.items()}

    def summarised(self, runs: Sequence[str]) -> list[str]:
        return [name for name in self.metrics(runs) if name.startswith(SUMMARISED)]

    def metrics(self, runs: Sequence[str]) -> list[str]:
        wanted = set(runs)
        with self._open() as database:
            rows = database.execute("SELECT DISTINCT key, run_uuid FROM latest_metrics")
            return sorted({key for key, run in rows if run in wanted})


def _points(database: sqlite3.Connection, condition: str, words: tuple) -> np.ndarray:
    """Return the points as an array of ``POINT``, filled row by row: no lists, so little memory."""
    return np.fromiter(
        database.execute(f"SELECT run_uuid, step, timestamp, value, is_nan FROM metrics WHERE {condition}", words),
        POINT,
    )
