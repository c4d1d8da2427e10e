"""The files of a run folder that MLflow shows beside the charts. Pure reading; imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import mapping

WHOLE = ("spec.yaml", "config.yaml", "provenance.json", "summary.json")
LOG_TAIL = 200_000  # bytes of the last train.log
SAMPLES = 32  # lines of each file of generations that is taken


def collect(folder: RunFolder) -> dict[str, str]:
    """{artifact path: text}: spec, config, provenance, diff, summary, the log's end, sample generations."""
    found = {name: text for name in WHOLE if (text := _read(folder.path / name)) is not None}
    if diff := folder.provenance().origin.git.diff:
        found["diff.patch"] = diff
    attempts = folder.attempts()
    if attempts and (tail := _tail(attempts[-1].log_path)):
        found["train.log"] = tail
    for name, path in _generations(folder).items():
        found[name] = _head(path)
    return found


def mark(found: Mapping[str, str]) -> str:
    """Return what these files and texts hash to, by which a copier sees that it has sent them."""
    return mapping.digest(sorted((name, mapping.digest(text)) for name, text in found.items()))


def _generations(folder: RunFolder) -> dict[str, Path]:
    """Return the first and the last file of each folder of generations, the later attempt's where two have it."""
    files = {
        f"generations/{path.relative_to(attempt.generations).as_posix()}": path
        for attempt in folder.attempts()
        for path in attempt.generations.rglob("*.jsonl")
    }
    by_folder: dict[str, list[str]] = {}
    for name in sorted(files, key=_natural):
        by_folder.setdefault(name.rpartition("/")[0], []).append(name)
    return {name: files[name] for names in by_folder.values() for name in dict.fromkeys((names[0], names[-1]))}


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``2.jsonl`` before ``10.jsonl``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _head(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(line for _, line in zip(range(SAMPLES), file, strict=False))


def _tail(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
