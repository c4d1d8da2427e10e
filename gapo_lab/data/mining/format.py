"""The format of mined data: its version and the content hash of a mined folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

FORMAT = 2  # of mined data: raised whenever the same history would give other rows


def mined_rows(folder: Path) -> dict[str, int]:
    """How many rows a mined folder has to train on (`train`) and held out (`id`); {} when the folder is not one."""
    return _about(folder).get("rows") or {}


def mined_files(folder: Path) -> dict[Path, str]:
    """SHA-256 of each file of a mined folder as it was written; {} when the folder is not one."""
    return {folder / name: sha for name, sha in (_about(folder).get("files") or {}).items()}


def mined_digest(folder: Path) -> str:
    """The content hash of a mined folder. Raises UserError when the folder is not one."""
    about = _about(folder)
    if "digest" not in about:
        raise UserError(
            f"{folder}: no mined data here (no about.json); make it: python -m gapo_lab.data mine REPO... "
            f"--out {folder}, or take data=micro, generated edits"
        )
    return about["digest"]


def _about(folder: Path) -> dict[str, Any]:
    """What `about.json` of a mined folder says; {} when there is none, or it says something else."""
    about = atomic_files.read_json(folder / "about.json") if folder.is_dir() else None
    return about if isinstance(about, dict) else {}
