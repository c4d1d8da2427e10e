"""Which runs belong to a study."""

from __future__ import annotations

from pathlib import Path

from gapo_lab.utils import atomic_files

FOLDER = ".studies"


def of_study(root: Path, study: str) -> list[str]:
    """The keys of a study's runs, also of those that it shares with an earlier study."""
    return atomic_files.read_json(Path(root) / FOLDER / f"{study}.json") or []


def having(root: Path, key: str) -> list[str]:
    """The studies that asked for a run, by name: the first of them, which its spec names, and those that share it."""
    return [path.stem for path in sorted((Path(root) / FOLDER).glob("*.json")) if key in of_study(root, path.stem)]
