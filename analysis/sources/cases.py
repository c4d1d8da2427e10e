"""How a run did case by case at its last validation: from its run folder alone, MLflow has no lines.

What was answered stands in `generations/val/`, how likely the truth is in `generations/truths/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gapo_lab.runs import generations
from gapo_lab.runs.folder import RunFolder

GREEDY = "_greedy"
# Metrics that are the probability of the truth, and what a line of truths calls its logarithm.
EXPECTED = {"em_expected": "loglik", "em_expected_t50": "loglik_t50"}


def of_run(root: Path, key: str, metric: str) -> dict[str, float]:
    """{task: value} of a metric such as `val/id/em_greedy`; a task answered several times has its mean.

    Empty where there is no such folder, and where its lines do not say which task they are (runs from before they did).
    """
    parts = metric.split("/")
    if len(parts) != 3:
        return {}
    folder, name, measure = RunFolder(Path(root) / key), parts[1], parts[2]
    if measure in EXPECTED:
        asked, column = {"set": name}, EXPECTED[measure]
        rows = ((row.get("id"), row.get(column)) for row in _lines(folder, "truths") if _is(row, asked))
        return {str(task): math.exp(value) for task, value in rows if task is not None and value is not None}
    asked = {"set": name, "greedy": "yes" if measure.endswith(GREEDY) else "no"}
    found: dict[str, list[float]] = {}
    for row in _lines(folder, "val"):
        if "task" not in row:
            break
        value = row.get(measure.removesuffix(GREEDY))
        if _is(row, asked) and isinstance(value, (int, float)):
            found.setdefault(row["task"], []).append(float(value))
    return {task: sum(values) / len(values) for task, values in found.items()}


def _is(row: dict[str, Any], asked: dict[str, str]) -> bool:
    return all(row.get(name) == value for name, value in asked.items())


def _lines(folder: RunFolder, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of the last validated step."""
    if path := generations.last(folder, kind):
        yield from generations.rows(path)
