"""Copies many run folders to MLflow through one connection."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import bulk_copy, mlflow_client
from gapo_lab.tracking import uri as addresses
from gapo_lab.tracking.copier import Copier


def copy_all(folders: Iterable[RunFolder], uri: str | None = None) -> dict[Path, str | Exception]:
    """``copy`` of each folder through one connection: its run id, or the error that kept it out.

    Raises MLflow's own error when it cannot be reached at all.
    """
    uri = addresses.resolve(uri)
    client = mlflow_client.connect(uri)
    client.search_experiments(max_results=1)  # away is said once, not for each folder
    folders = list(folders)
    out: dict[Path, str | Exception] = {**bulk_copy.copy(folders, uri, client)}
    for folder in (folder for folder in folders if folder.path not in out):
        try:
            out[folder.path] = Copier(folder, uri, client).everything()
        except Exception as error:  # noqa: BLE001 - one broken folder must not keep the others out
            out[folder.path] = error
    mlflow_client.analyze(uri)
    return out
