"""Runs and curves straight from MLflow's SQLite tables, read-only: no MLflow, one query a metric."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from analysis import curves as building
from analysis.curves import Curve
from analysis.runs import Run
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
CHUNK = 50_000


class Sqlite:
    """MLflow's database file behind a ``sqlite:`` address."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.path = addresses.sqlite_path(uri)
        if not self.path.exists():
            raise UserError(
                f"{self.path} is not there: run something first, copy runs to it "
                "(python -m gapo_lab sync), or name another place with --uri"
            )
        self._check()

    def _check(self) -> None:
        try:
            with self._open() as database:
                for table, columns in NEEDED.items():
                    there = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
                    if not columns <= there:
                        lacks = f"table {table}" if not there else f"{table}.{min(columns - there)}"
                        raise UserError(
                            f"{self.path} is no database of this MLflow ({lacks} is missing): keep a copy "
                            f"of it, then: mlflow db upgrade {self.uri}"
                        )
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path} cannot be read as an SQLite database: {error}") from error

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(
            sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=30)
        ) as database:
            yield database

    def studies(self) -> dict[str, str]:
        with self._open() as database:
            rows = database.execute(
                "SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'"
            )
            return {name: str(id) for name, id in rows}

    def runs(self, studies: Mapping[str, str]) -> list[Run]:
        by_id = {id: name for name, id in studies.items()}
        marks = ", ".join("?" * len(by_id))
        chosen = f"SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' AND experiment_id IN ({marks})"
        ids = [int(id) for id in by_id]
        with self._open() as database:
            words = {}
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
        return [
            Run(
                id, by_id[str(experiment)], str(experiment), name or "", status or "", start or 0,
                words["params"].get(id, {}), words["tags"].get(id, {}),
            )
            for id, experiment, name, status, start in rows
        ]  # fmt: skip

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        number = {run: code for code, run in enumerate(runs)}
        with self._open() as database:
            total = database.execute("SELECT count(*) FROM runs").fetchone()[0]
            if len(runs) >= MANY * total:
                # Only the key is asked for, so that SQLite walks its covering index of keys.
                points = [self._points(database, "metrics", "key = ?", (metric,), number)]
            else:
                points = [
                    self._points(
                        database,
                        "metrics",
                        f"run_uuid IN ({', '.join('?' * len(some))}) AND key = ?",
                        (*some, metric),
                        number,
                    )
                    for some in (runs[i : i + 500] for i in range(0, len(runs), 500))
                ]
        columns = [np.concatenate(column) for column in zip(*points, strict=True)] if points else []
        built = building.build(*columns) if columns else {}
        return {runs[code]: curve for code, curve in built.items()}

    def _points(
        self, database: sqlite3.Connection, table: str, condition: str, words: tuple, number: Mapping[str, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Codes, steps, times and values of the points, in chunks to keep the memory small."""
        asked = database.execute(
            f"SELECT run_uuid, step, timestamp, CASE WHEN is_nan THEN NULL ELSE value END "
            f"FROM {table} WHERE {condition}",
            words,
        )
        parts: list[tuple[np.ndarray, ...]] = []
        while rows := asked.fetchmany(CHUNK):
            run, step, time, value = zip(*rows, strict=True)
            codes = np.fromiter(map(number.get, run, [-1] * len(run)), np.int64, len(run))
            part = (
                codes,
                np.array(step, np.int64),
                np.array(time, np.int64),
                np.array(value, np.float64),
            )
            parts.append(tuple(column[codes >= 0] for column in part))
        if not parts:
            return tuple(np.array([], kind) for kind in (np.int64, np.int64, np.int64, np.float64))
        codes, steps, times, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        values = np.where(np.abs(values) >= INFINITE, np.sign(values) * np.inf, values)
        return codes, steps, times, values

    def metrics(self, runs: Sequence[str]) -> list[str]:
        wanted = set(runs)
        with self._open() as database:
            rows = database.execute("SELECT DISTINCT key, run_uuid FROM latest_metrics")
            return sorted({key for key, run in rows if run in wanted})
