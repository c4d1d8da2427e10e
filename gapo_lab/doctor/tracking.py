"""Whether MLflow can be reached from here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gapo_lab.doctor.finding import Finding, note, ok, wrong
from gapo_lab.doctor.machine import write_error
from gapo_lab.tracking import uri

LATER = "Runs keep everything; `python -m gapo_lab sync` copies them later (tracking=later)"
SECONDS = 10


# Pure


def check_server(address: str, error: str | None) -> Finding:
    """error: why the server does not answer; None where it does."""
    if error is None:
        return ok("MLflow", f"{address} answers")
    return wrong("MLflow", f"{address} cannot be reached ({error})", f"Start it, set {uri.VARIABLE}, or: {LATER}")


def check_database(path: Path, error: str | None, is_cluster: bool) -> Finding:
    """path: of the SQLite file. error: why its folder cannot be written."""
    if error is not None:
        return wrong("MLflow", f"{path}: {error}", f"Set {uri.VARIABLE} to another place, or: {LATER}")
    if is_cluster:
        remedy = f"Set {uri.VARIABLE} to a server's address, or tracking=later and `python -m gapo_lab sync` afterwards"
        return note("MLflow", f"{path} is one file, into which all nodes would write", remedy)
    return ok("MLflow", str(path))


# What is looked at


def look(tracking: str, is_cluster: bool) -> Iterator[Finding]:
    """Yield the finding about MLflow. tracking: live or later."""
    address = uri.resolve()
    if tracking == "later":
        yield ok("MLflow", f"is not needed now (tracking=later); `python -m gapo_lab sync` copies to {address}")
    elif uri.is_server(address):
        yield check_server(address, server_error(address))
    elif path := uri.sqlite_path(address):
        there = next(folder for folder in path.parents if folder.is_dir())
        error = write_error(there)
        if path.exists() and not os.access(path, os.W_OK):
            error = "cannot be written"
        yield check_database(path, error, is_cluster)
    else:
        yield check_server(address, connect_error(address))


def server_error(address: str) -> str | None:
    """Ask a tracking server for its health: the reason where it does not answer, None where it does."""
    import requests

    try:
        answer = requests.get(f"{address.rstrip('/')}/health", timeout=SECONDS)
    except requests.RequestException as error:
        return type(error).__name__
    return None if answer.ok else f"it answers {answer.status_code}"


def connect_error(address: str) -> str | None:
    """Connect to any other kind of address by MLflow's own means: the reason where that fails."""
    from gapo_lab.tracking import mlflow_client

    try:
        mlflow_client.connect(address).search_experiments(max_results=1)
    except Exception as error:  # noqa: BLE001 - those of databases have no common base
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]:.120}"
    return None
