"""A task: one code edit to predict, in the shape of the paper's Table 3.

The model sees the code with a marked region and a cursor, the edits made so far and what the user
asked for; it answers with the text that the region becomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The test set that choices are made by (steps, rates); the others are looked at once.
DEV = "dev"
# How verl answers a row: greedily, or sampled.
GREEDY_AGENT = "single_turn_greedy"
SAMPLED_AGENT = "single_turn_agent"


@dataclass(frozen=True)
class Hunk:
    """One earlier edit: in the file `path`, the text `before` became `after`."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Task:
    """One history-aware code edit.

    The code as it stands is `prefix + region + suffix`; after the edit it is
    `prefix + truth + suffix`. `cursor` is an offset into `region`, in characters.
    "No change" is a task whose truth equals its region.
    """

    id: str
    language: str
    kind: str
    path: str
    history: tuple[Hunk, ...]
    prefix: str
    region: str
    suffix: str
    cursor: int
    truth: str
    instruction: str = ""
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not 0 <= self.cursor <= len(self.region):
            raise ValueError(
                f"task {self.id}: cursor {self.cursor} outside its region of {len(self.region)} characters"
            )

    @property
    def code(self) -> str:
        """The file as it stands before the edit."""
        return self.prefix + self.region + self.suffix

    @property
    def edited(self) -> str:
        """The file after the edit of the reference answer."""
        return self.prefix + self.truth + self.suffix


def verl_row(
    task: Task, index: int, source: str, agent: str, prompt: list[dict[str, str]], **more: Any
) -> dict[str, Any]:
    """What verl reads of a task: a row of a set named `source`. `more` goes to `extra_info`."""
    about = {"index": index, "id": task.id, "language": task.language, "kind": task.kind}
    return {
        "data_source": source,
        "agent_name": agent,
        "prompt": prompt,
        "ability": "code_edit",
        "reward_model": {"style": "rule", "ground_truth": task.truth},
        "extra_info": {**about, **more},
    }


def has_one_text(row: Mapping[str, Any]) -> bool:
    """Whether one text is the right answer to a row, and no other: not where it is searched in a longer answer."""
    return (row.get("extra_info") or {}).get("answer", "text") == "text"
