"""The edge to MLflow: a client whose database is ready, and the experiment of a study."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from gapo_lab.errors import UserError
from gapo_lab.tracking import uri as addresses
from gapo_lab.utils import atomic_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

# SQLite's write-ahead log needs memory that processes share, which these do not give.
NETWORK_FILE_SYSTEMS = (
    "nfs",
    "nfs4",
    "lustre",
    "gpfs",
    "beegfs",
    "cifs",
    "smb3",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
)


def connect(uri: str) -> MlflowClient:
    """Return a client for ``uri``; a SQLite database is made, migrated and set to WAL first, once.

    Takes seconds: MLflow's import, and the migrations of a new database. Twelve processes that migrate
    one new database at once fail, so this is done under a lock file beside it.
    """
    # A server that is away is tried again by whoever calls, not for four minutes within one call.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if urlsplit(uri).scheme in ("", "file") and uri != "databricks":
        raise UserError(
            f"MLflow address {uri} is a folder, which MLflow no longer writes to: "
            "use sqlite:///mlflow.db or a server's http address"
        )
    path = addresses.sqlite_path(uri)
    if path is None:
        return _client(uri)
    atomic_files.make_folder(path.parent)
    with atomic_files.locked(lock_path(path)):
        if not path.exists():
            _make(path)
        client = _client(f"sqlite:///{path}")
        if not on_network(path):
            with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
                database.execute("PRAGMA journal_mode=WAL")
        return client


def _make(path: Path) -> None:
    """Make a new database, in its place only once it is whole: MLflow cannot go on with half of its migrations."""
    aside = path.with_name(f".{path.name}.new")
    for left in path.parent.glob(f"{aside.name}*"):
        left.unlink()
    _client(f"sqlite:///{aside}")
    with contextlib.closing(sqlite3.connect(aside)) as database, database:
        # The experiment that MLflow begins with becomes the study `default`, instead of one beside it.
        database.execute(
            "UPDATE experiments SET name = 'default', artifact_location = ? WHERE experiment_id = 0",
            (_artifacts(path, "default"),),
        )
    os.replace(aside, path)


def _artifacts(database: Path, study: str) -> str:
    """Where the files of a study's runs lie beside an SQLite database."""
    return (database.parent / "mlartifacts" / quote(study, safe="")).as_uri()


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return MlflowClient(tracking_uri=uri)
    except MlflowException as error:
        if "mlflow db upgrade" not in str(error):
            raise
        raise UserError(
            f"the database {uri} was made by another version of MLflow: "
            f"keep a copy of it, then: mlflow db upgrade {uri}"
        ) from error


def lock_path(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


@contextlib.contextmanager
def creating(uri: str, root: Path) -> Iterator[None]:
    """Be the only one, of those that copy run folders under ``root`` or into this database, who creates."""
    path = addresses.sqlite_path(uri)
    with atomic_files.locked(lock_path(path) if path else root / ".tracking.lock"):
        yield


def on_network(path: Path) -> bool:
    """``path`` lies on a file system shared between machines."""
    import psutil

    mounts = [m for m in psutil.disk_partitions(all=True) if path.is_relative_to(m.mountpoint)]
    return bool(mounts) and max(mounts, key=lambda m: len(m.mountpoint)).fstype in NETWORK_FILE_SYSTEMS


def analyze(uri: str) -> None:
    """Let SQLite count its tables: unasked it takes the wrong index and reads histories 6 times slower."""
    if path := addresses.sqlite_path(uri):
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
            database.execute("PRAGMA analysis_limit=1000")
            database.execute("ANALYZE")
            database.commit()


def experiment(client: MlflowClient, uri: str, study: str) -> str:
    """Return the id of the experiment named ``study``, made if need be.

    Beside a SQLite database its artifacts go to ``mlartifacts/<study>``; a server has its own place for them.
    """
    from mlflow.exceptions import MlflowException

    found, path = client.get_experiment_by_name(study), addresses.sqlite_path(uri)
    if found is None:
        place = _artifacts(path, study) if path else None
        try:
            made = client.create_experiment(study, artifact_location=place)
            if path and study == "default":
                _drop_empty(client, "Default")
            return made
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(study)  # another machine was quicker
    if found.lifecycle_stage != "active":
        raise UserError(
            f"study {study} is deleted in MLflow. Restore it (mlflow experiments restore "
            f"--experiment-id {found.experiment_id}) or choose another study="
        )
    return found.experiment_id


def is_deleted(client: MlflowClient, study: str) -> bool:
    """Whether a person deleted the study in MLflow."""
    found = client.get_experiment_by_name(study)
    return found is not None and found.lifecycle_stage != "active"


def _drop_empty(client: MlflowClient, name: str) -> None:
    """Delete an experiment, as the UI does, where it never had a run: MLflow itself begins with one named Default."""
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "active" and not client.search_runs([found.experiment_id], max_results=1):
        client.delete_experiment(found.experiment_id)
