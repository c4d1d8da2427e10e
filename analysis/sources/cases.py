"""What a run answered, case by case, in its last validation: from its run folder alone, MLflow has no lines."""

from __future__ import annotations

import json
from pathlib import Path

from gapo_lab.runs.folder import RunFolder

GREEDY = "_greedy"


def of_run(root: Path, key: str, metric: str) -> dict[str, float]:
    """{task: value} of a metric such as `val/id/em_greedy`; a task answered several times has its mean.

    Empty where there is no such folder, and where its lines do not say which task they are (runs from before they did).
    """
    parts = metric.split("/")
    path = _last(RunFolder(Path(root) / key)) if len(parts) == 3 else None
    if path is None:
        return {}
    name, measure = parts[1], parts[2].removesuffix(GREEDY)
    greedy = "yes" if parts[2].endswith(GREEDY) else "no"
    found: dict[str, list[float]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break  # cut short by a crash
            if "task" not in row:
                break
            value = row.get(measure)
            if (row.get("set"), row.get("greedy")) == (name, greedy) and isinstance(value, (int, float)):
                found.setdefault(row["task"], []).append(float(value))
    return {task: sum(values) / len(values) for task, values in found.items()}


def _last(folder: RunFolder) -> Path | None:
    """The file of the last validated step; of two attempts that validated it the newer's."""
    newest: dict[int, Path] = {}
    for attempt in folder.attempts():
        for path in (attempt.generations / "val").glob("*.jsonl"):
            if path.stem.isdecimal():
                newest[int(path.stem)] = path
    return newest[max(newest)] if newest else None
