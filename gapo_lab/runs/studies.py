"""Which runs belong to a study: `runs/.studies/<study>.json` lists their keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from gapo_lab.utils import atomic_files

FOLDER = ".studies"


def of_study(root: Path, study: str) -> list[str]:
    """Return the keys of a study's runs, also of those that it shares with an earlier study."""
    return atomic_files.read_json(Path(root) / FOLDER / f"{study}.json") or []


def having(root: Path, key: str) -> list[str]:
    """Return the studies that asked for a run, by name: the first of them, which its spec names, and those that
    share it."""
    return [path.stem for path in sorted((Path(root) / FOLDER).glob("*.json")) if key in of_study(root, path.stem)]


def by_key(root: Path) -> dict[str, list[str]]:
    """Return `having` of all runs that a study lists."""
    out: dict[str, list[str]] = {}
    for path in sorted((Path(root) / FOLDER).glob("*.json")):
        for key in of_study(root, path.stem):
            out.setdefault(key, []).append(path.stem)
    return out


def remember(root: Path, runs: Iterable[tuple[str, str]]) -> None:
    """Add runs, each given as its study and its key."""
    by_study: dict[str, set[str]] = {}
    for study, key in runs:
        by_study.setdefault(study, set()).add(key)
    atomic_files.make_folder(Path(root) / FOLDER)
    for study, keys in by_study.items():
        before = of_study(root, study)
        if not keys <= set(before):
            atomic_files.write_json(Path(root) / FOLDER / f"{study}.json", sorted({*before, *keys}))


def drop(root: Path, keys: Collection[str]) -> None:
    """Remove runs from every study that lists them; a study without runs is gone."""
    for path in sorted((Path(root) / FOLDER).glob("*.json")):
        before = atomic_files.read_json(path) or []
        left = [key for key in before if key not in keys]
        if not left:
            path.unlink()
        elif left != before:
            atomic_files.write_json(path, left)
