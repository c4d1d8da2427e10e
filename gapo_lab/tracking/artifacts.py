"""The files of a run folder that MLflow shows beside the charts. Pure reading; imports nothing heavy."""

from __future__ import annotations

import re
from pathlib import Path

from gapo_lab.run_folder import RunFolder

WHOLE = ("spec.yaml", "config.yaml", "provenance.json", "summary.json")
LOG_TAIL = 200_000  # bytes of the last train.log
SAMPLES = 32  # lines of each file of generations that is taken: the first and the last one


def collect(folder: RunFolder) -> dict[str, str]:
    """{artifact path: text}: spec, config, provenance, diff, summary, the log's end, sample generations."""
    found = {name: text for name in WHOLE if (text := _read(folder.path / name)) is not None}
    if diff := (folder.provenance() or {}).get("git", {}).get("diff"):
        found["diff.patch"] = diff
    attempts = folder.attempts()
    if attempts and (tail := _tail(attempts[-1].log_path)):
        found["train.log"] = tail
    files = [path for attempt in attempts for path in sorted(attempt.generations.rglob("*.jsonl"), key=_natural)]
    for path in files[:1] + files[1:][-1:]:
        found[f"generations/{path.name}"] = _head(path)
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts ``2.jsonl`` before ``10.jsonl``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", str(path))]


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
