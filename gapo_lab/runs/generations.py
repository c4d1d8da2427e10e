"""What a run wrote case by case at its validations: `generations/<kind>/<step>.jsonl` of its attempts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gapo_lab.runs.folder import RunFolder


def last(folder: RunFolder, kind: str) -> Path | None:
    """Return the file of the last validated step, of two attempts that validated it the newer's; None without one."""
    newest: dict[int, Path] = {}
    for attempt in folder.attempts():
        for path in (attempt.generations / kind).glob("*.jsonl"):
            if path.stem.isdecimal():
                newest[int(path.stem)] = path
    return newest[max(newest)] if newest else None


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of such a file, up to one that a crash has cut short."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return
