"""EditEval (`edit_eval/edit_eval.jsonl` of github.com/qishenghu/CodeInstruct, MIT): 194 Python edits by instruction.

A row has `instruction`, `input` and `output`; there is no history, and the region is the whole program.
"""

from __future__ import annotations

from collections.abc import Mapping

from gapo_lab.data.mining.file_filters import edit_kind
from gapo_lab.data.tasks.task import Task
from gapo_lab.data.tasks.text import common_prefix
from gapo_lab.errors import UserError

FIELDS = ("instruction", "input", "output")


def task(row: Mapping[str, str], number: int) -> Task:
    """A row as a task. Raises UserError naming the row when a field is missing."""
    if lacking := [name for name in FIELDS if not isinstance(row.get(name), str)]:
        raise UserError(f"editeval row {number}: no text in `{lacking[0]}`; a row has {', '.join(FIELDS)}")
    region, truth = row["input"], row["output"]
    return Task(
        id=str(row.get("task_id") or f"EditEval/{number}"),
        language="python",
        kind=edit_kind(region.splitlines(), truth.splitlines()),
        path="program.py",
        history=(),
        prefix="",
        region=region,
        suffix="",
        cursor=common_prefix(region, truth),
        truth=truth,
        instruction=row["instruction"].strip(),
        provenance={"repository": "qishenghu/CodeInstruct"},
    )
