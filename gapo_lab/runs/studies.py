"""Which runs belong to a study."""

from __future__ import annotations

from pathlib import Path

from gapo_lab.utils import atomic_files


def of_study(root: Path, study: str) -> list[str]:
    """The keys of a study's runs, also of those that it shares with an earlier study."""
    return atomic_files.read_json(Path(root) / ".studies" / f"{study}.json") or []
