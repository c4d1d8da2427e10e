"""Which source a report reads: the run folders, or MLflow behind a database file or a server. And a study's runs in it.

MLflow's own client answers one history a call; the sources here ask for many at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from analysis.results.runs import Run
from analysis.results.source import Source
from analysis.sources.run_folders import RunFolders
from gapo_lab.errors import UserError
from gapo_lab.runs.studies import of_study
from gapo_lab.tracking import uri as addresses
from gapo_lab.utils.key_names import did_you_mean


def connect(uri: str | None = None) -> Source:
    """Open MLflow at ``uri``, else at MLFLOW_TRACKING_URI, else ``mlflow.db`` here."""
    address = addresses.resolve(uri)
    if addresses.is_server(address):
        from analysis.sources.tracking_server import Server

        return Server(address)
    if addresses.sqlite_path(address):
        from analysis.sources.sqlite import Sqlite

        return Sqlite(address)
    raise UserError(
        f"MLflow address {address}: reports read sqlite:///FILE or a server's http address. "
        "Start a server in front of it: mlflow server --backend-store-uri ..."
    )


def choose(
    studies: Sequence[str],
    root: Path,
    uri: str | None = None,
    kind: str | None = None,
    expected: Collection[str] = (),
) -> Source:
    """Open the source of these studies: what ``kind`` names (runs, mlflow), MLflow where an address is given, else
    the run folders; where these hold no run of the studies, MLflow if it knows one.

    ``expected``: the metrics that will be asked for. UserError where neither has the studies.
    """
    if kind == "mlflow" or (kind is None and uri):
        return connect(uri)
    folders = RunFolders(root, expected)
    if kind == "runs" or folders.holds(studies):
        return folders
    there: Iterable[str] = ()
    try:
        copies = connect(uri)
        there = copies.studies()
        if set(studies) & set(there):
            return copies
        where = copies.place
    except UserError as error:
        where = f"MLflow ({error})"
    names, nearest = ", ".join(studies), _near(studies[0], {*folders.studies(), *there})
    raise UserError(
        f"no study {names}, neither in {folders.place} nor in {where}: {nearest} Start it with study={studies[0]}, "
        "name the run folders' place with --runs, or on the machine that has them copy them to MLflow: "
        "python -m gapo_lab sync"
    )


def find_runs(source: Source, names: Sequence[str], root: Path) -> list[Run]:
    """Return the runs of these studies, also those that another study asked for first.

    UserError where there are none, with the nearest name and what to do.
    """
    there = source.studies()
    keys = {name: set(of_study(root, name)) for name in names}
    for name in names:
        if name not in there and not keys[name]:
            raise UserError(_unknown(source, name, there, root))
    found = {name: there[name] for name in names if name in there}
    runs = source.runs(found) if found else []
    if missing := set().union(*keys.values()) - {run.identity for run in runs}:
        others = {name: place for name, place in there.items() if name not in found}
        runs += source.runs(others, missing) if others else []
    if not runs:
        broken = "; ".join(source.problems())
        what = broken or _elsewhere(source, names, root) or f"start one with study={shlex.quote(names[0])}"
        raise UserError(f"study {', '.join(names)} in {source.place} has no runs yet: {what}")
    return runs


def _unknown(source: Source, name: str, there: Collection[str], root: Path) -> str:
    said = f"no study {name} in {source.place}: {_near(name, there)}"
    if isinstance(source, RunFolders):
        return f"{said} Name another place with --runs, or read MLflow: --source mlflow"
    return f"{said} {_elsewhere(source, [name], root)}".strip()


def _elsewhere(source: Source, names: Sequence[str], root: Path) -> str:
    """Return what to do where MLflow lacks what the run folders hold; empty where they do not."""
    if isinstance(source, RunFolders) or not RunFolders(root).holds(names):
        return ""
    sync = f"python -m gapo_lab sync {names[0]}"
    return f"the run folders in {root} have it. Leave out --uri and --source, or copy them: {sync}"


def _near(name: str, there: Collection[str]) -> str:
    return did_you_mean(name, there) or f"there are: {', '.join(sorted(there)) or 'none'}."
