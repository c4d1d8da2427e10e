"""Where MLflow's data are, and how a person opens them. Imports nothing heavy."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from urllib.parse import urlsplit

from gapo_lab.utils.lab_command import rooted

VARIABLE = "MLFLOW_TRACKING_URI"
DEFAULT = "sqlite:///mlflow.db"


def resolve(uri: str | None = None) -> str:
    """``uri``, else what MLFLOW_TRACKING_URI says, else ``mlflow.db`` in the working folder."""
    return uri or os.environ.get(VARIABLE, "").strip() or DEFAULT


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a ``sqlite:`` address; None for every other kind."""
    if not uri.startswith("sqlite:"):
        return None
    path = uri.split("?", 1)[0].split("///", 1)
    return Path(path[1]).absolute() if len(path) == 2 and path[1] else None


def is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https")


def ui_command(uri: str, port: int = 5000) -> list[str]:
    """Return the command, run in the working folder, that serves MLflow's pages for the database at ``uri``.

    One worker: four (MLflow's default) take four times the memory and as long again to start.
    """
    return [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        uri,
        "--port",
        str(port),
        "--workers",
        "1",
    ]


def how_to_open(uri: str, port: int = 5000) -> str:
    """Return what to type, in the working folder, or click to see the charts, for the end of a run."""
    if is_server(uri):
        return uri
    words = ["ui"] + (["--uri", uri] if uri != resolve() else [])
    return f"{command(*words)}\nhttp://127.0.0.1:{port}"


def command(*words: str, root: Path | None = None) -> str:
    """`python -m gapo_lab WORDS` as typed in the working folder. ``root``: where the runs lie."""
    here, python = Path.cwd(), Path(sys.executable)
    python = python.relative_to(here) if python.is_relative_to(here) else python
    return shlex.join([str(python), "-m", "gapo_lab", *rooted(root), *words])
