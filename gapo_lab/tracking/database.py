"""MLflow's tables behind an SQLite or PostgreSQL address, written to directly: many rows at a time.

MLflow's client writes a thousand points a call, through objects of SQLAlchemy. What it writes is plain: the columns
below. A database that has others, which must be filled, is of another MLflow, and `open_database` gives None.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from gapo_lab.tracking import uri as addresses

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine, Inspector

# What is written, by table.
COLUMNS = {
    "runs": (
        *("run_uuid", "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time"),
        *("end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id"),
    ),
    "tags": ("key", "value", "run_uuid"),
    "params": ("key", "value", "run_uuid"),
    "metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
    "latest_metrics": ("key", "value", "timestamp", "step", "is_nan", "run_uuid"),
}
KINDS = ("sqlite", "postgresql")
# KiB of SQLite's pages in memory, if there are so many: with its own 2,000 it writes and reads the pages of its indexes
# over and over, at 1.6 times the processor time.
CACHE = 200_000


class Database:
    """An open database of MLflow's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._engine.dispose()

    def tagged(self, experiment: str, name: str) -> set[str]:
        """Return the values of a tag over the active runs of an experiment."""
        from sqlalchemy import text

        asked = (
            "SELECT DISTINCT tags.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid WHERE tags.key = :name "
            "AND runs.experiment_id = :experiment AND runs.lifecycle_stage = 'active'"
        )
        with self._engine.connect() as connection:
            found = connection.execute(text(asked), {"name": name, "experiment": int(experiment)})
            return {value for (value,) in found}

    def finished(self, parent: str) -> list[dict[str, float]]:
        """Return the newest numbers, by name, of each active run below this one that has finished."""
        from sqlalchemy import text

        asked = (
            "SELECT runs.run_uuid, newest.key, newest.value, newest.is_nan FROM tags "
            "JOIN runs ON runs.run_uuid = tags.run_uuid "
            "LEFT JOIN latest_metrics newest ON newest.run_uuid = runs.run_uuid "
            "WHERE tags.key = 'mlflow.parentRunId' AND tags.value = :parent "
            "AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'"
        )
        out: dict[str, dict[str, float]] = {}
        with self._engine.connect() as connection:
            for run, name, value, is_nan in connection.execute(text(asked), {"parent": parent}):
                numbers = out.setdefault(run, {})
                if name is not None:
                    numbers[name] = math.nan if is_nan else value
        return list(out.values())

    def latest(self, run: str, name: str) -> float | None:
        """Return the newest value of one metric of a run."""
        from sqlalchemy import text

        asked = "SELECT value FROM latest_metrics WHERE run_uuid = :run AND key = :name"
        with self._engine.connect() as connection:
            return connection.execute(text(asked), {"run": run, "name": name}).scalar()

    def insert(self, rows: dict[str, list[Sequence[Any]]]) -> None:
        """Insert rows by table, in the order of `COLUMNS`: all of them or, where one cannot be, none."""
        with self._engine.begin() as connection:
            for table in COLUMNS:
                if rows.get(table):
                    self._insert(connection, table, rows[table])

    def _insert(self, connection: Connection, table: str, rows: list[Sequence[Any]]) -> None:
        names = ", ".join(COLUMNS[table])
        cursor: Any = connection.connection.cursor()
        try:
            if self._engine.dialect.name == "sqlite":
                marks = ", ".join("?" * len(COLUMNS[table]))
                cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            elif hasattr(cursor, "copy"):  # psycopg
                cursor.execute(f"SELECT {names} FROM {table} LIMIT 0")
                types = [column.type_code for column in cursor.description]
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT binary)") as copy:
                    copy.set_types(types)
                    for row in rows:
                        copy.write_row(row)
            else:  # psycopg2
                cursor.copy_expert(
                    f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv, NULL '\\N')", io.StringIO(_csv(rows))
                )
        finally:
            cursor.close()


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as PostgreSQL's COPY takes them: text quoted, so that none of it reads as NULL, and NULL bare."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    null = _Null()
    writer.writerows([null if value is None else value for value in row] if None in row else row for row in rows)
    return out.getvalue()


class _Null(float):
    """What the writer of CSV takes for a number, and writes without quotes."""

    def __repr__(self) -> str:
        return "\\N"

    __str__ = __repr__


def open_database(uri: str) -> Database | None:
    """Return the database at an address; None where it is a server, another kind of database, or another MLflow's."""
    from sqlalchemy import create_engine, event, inspect
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool, StaticPool

    path = addresses.sqlite_path(uri)
    try:
        engine = create_engine(f"sqlite:///{path}" if path else uri, poolclass=StaticPool if path else NullPool)
    except (ArgumentError, ImportError, SQLAlchemyError):
        return None
    if path:
        event.listen(engine, "connect", lambda opened, _: opened.execute(f"PRAGMA cache_size = -{CACHE}"))
    if engine.dialect.name not in KINDS:
        return None
    try:
        fits = _fits(inspect(engine))
    except SQLAlchemyError:
        fits = False
    if not fits:
        engine.dispose()
    return Database(engine) if fits else None


def _fits(seen: Inspector) -> bool:
    """Whether the tables have the columns that are written, and no others that must be filled."""
    for table, columns in COLUMNS.items():
        there = {one["name"]: one for one in seen.get_columns(table)}
        needed = {name for name, one in there.items() if not one["nullable"] and one["default"] is None}
        if not set(columns) <= set(there) or not needed <= set(columns):
            return False
    return True
