"""The edge to MLflow: runs and curves in bulk, from a SQLite file or a tracking server.

MLflow's own client answers one history a call; both sources here ask for many at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from analysis.results.runs import Run
from analysis.results.source import Source
from gapo_lab.errors import UserError
from gapo_lab.runs.studies import of_study
from gapo_lab.tracking import uri as addresses


def connect(uri: str | None = None) -> Source:
    """The source at ``uri``, else MLFLOW_TRACKING_URI, else ``mlflow.db`` here."""
    address = addresses.resolve(uri)
    if addresses.is_server(address):
        from analysis.sources.tracking_server import Server

        return Server(address)
    if addresses.sqlite_path(address):
        from analysis.sources.sqlite import Sqlite

        return Sqlite(address)
    raise UserError(
        f"MLflow address {address}: reports read sqlite:///FILE or a server's http address; "
        "start a server in front of it: mlflow server --backend-store-uri ..."
    )


def find_runs(source: Source, names: Sequence[str], runs_root: Path) -> tuple[dict[str, str], list[Run]]:
    """{name: experiment id} of the studies asked for, and their runs.

    Also the runs that a study shares with one that asked for them first, in whose experiment they lie: a study that
    shares all of its runs has no experiment of its own. UserError for a study without either, with the nearest name.
    """
    there = source.studies()
    found = {name: there[name] for name in names if name in there}
    keys = {name: set(of_study(runs_root, name)) for name in names}
    for name in (name for name in names if name not in there and not keys[name]):
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.6)
        said = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(there)) or 'none'}"
        raise UserError(f"no study {name} in {source.uri}: {said}")
    runs = source.runs(found) if found else []
    if missing := set().union(*keys.values()) - {run.identity for run in runs}:
        others = {name: experiment for name, experiment in there.items() if name not in found}
        runs += [run for run in source.runs(others) if run.identity in missing] if others else []
    return found, runs
