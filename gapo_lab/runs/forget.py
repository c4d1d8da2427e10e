"""Removes the folders of runs, such as those that never started."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.runs import studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils import atomic_files


def holds(folder: RunFolder) -> str:
    """Return what a run would lose with its folder: `metrics and a checkpoint`; '' where it never got to a step."""
    if folder.is_finished:
        return "a result"
    try:
        # step 0 is the validation of the untrained model
        measured = max(folder.merged_metrics(), default=0) > 0
    except UserError:  # rows that cannot be read are rows
        measured = True
    saved = any(folder.checkpoints.glob("global_step_*"))
    return " and ".join(["metrics"] * measured + ["a checkpoint"] * saved)


def forget(root: Path, keys: Collection[str]) -> None:
    """Remove these run folders, and their keys from the studies that list them."""
    for key in keys:
        path = Path(root) / key
        with atomic_files.writing(path):
            shutil.rmtree(path, ignore_errors=not path.exists())
    studies.drop(root, set(keys))
