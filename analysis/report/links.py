"""From a report to its runs: their folders where these are on this machine, else their pages in MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from analysis.render.html import CellLink, RunLink
from analysis.results.runs import Run, Selection
from gapo_lab.tracking import uri as addresses

LOCAL = "http://127.0.0.1:5000"  # where `python -m gapo_lab ui` shows an SQLite database


def cell_links(selection: Selection, root: Path, folder: Path, uri: str) -> Iterator[CellLink]:
    """Each cell with its runs by seed. ``root``: of the run folders; ``folder``: the report's; ``uri``: MLflow's."""
    for cell in selection.cells:
        if cell.runs:
            runs = (RunLink(run.seed, run.identity, _href(run, root, folder, uri)) for run in cell.runs)
            yield CellLink(cell.name, tuple(runs))


def _href(run: Run, root: Path, folder: Path, uri: str) -> str:
    """Where the run is; empty where that is not known."""
    if (root / run.identity).is_dir():
        return quote(Path(os.path.relpath(root / run.identity, folder)).as_posix())
    if not run.experiment:
        return ""
    server = uri.rstrip("/") if addresses.is_server(uri) else LOCAL
    return f"{server}/#/experiments/{run.experiment}/runs/{run.id}?workflowType=machine_learning"
