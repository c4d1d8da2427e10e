"""Zed's zeta set (`zed-industries/zeta` on Hugging Face, Apache-2.0), on which the paper tests out of domain.

A row has three texts: `events`, the user's last edits as fenced diffs; `input`, an excerpt with a marked region and
the cursor; `output`, the excerpt after the edit. The paper evaluates on the 132 rows of `dpo`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gapo_lab.data.tasks.task import Hunk, Task
from gapo_lab.data.tasks.text import common_prefix, language
from gapo_lab.errors import UserError

START, END = "<|editable_region_start|>", "<|editable_region_end|>"
CURSOR, FILE_START = "<|user_cursor_is_here|>", "<|start_of_file|>"
FIELDS = ("events", "input", "output")
INSTRUCTION = (
    "You are a code completion assistant and your task is to analyze user edits and then rewrite an excerpt that the "
    "user provides, suggesting the appropriate edits within the excerpt, taking into account the cursor location."
)
_EVENT = re.compile(r'User edited "(?P<path>[^"]*)":\s*```diff\n(?P<diff>.*?)\n?```', re.DOTALL)


def between_markers(text: str) -> str | None:
    """The text of the region: between the one start and the one end marker, without the cursor.

    None where there is not exactly one of each, in this order.
    """
    text = text.replace(CURSOR, "")
    if text.count(START) != 1 or text.count(END) != 1:
        return None
    _, _, rest = text.partition(START)
    region, end, _ = rest.partition(END)
    return region if end else None


def target(output: str) -> str:
    """What a model should answer to `prompt`: the output from the region's start on, without the cursor."""
    return output[max(0, output.find(START)) :].replace(CURSOR, "").strip()


def prompt(row: Mapping[str, str]) -> str:
    """The prompt of Zed's own model."""
    return (
        f"### Instruction:\n{INSTRUCTION}\n\n### User Edits:\n\n{row['events']}\n\n"
        f"### User Excerpt:\n\n{row['input']}\n\n### Response:\n"
    )


def task(row: Mapping[str, str], number: int) -> Task:
    """A row as a task of ours: events become the history, the marked region is to be edited.

    Raises UserError naming the row when a field is missing or a region is not marked once.
    """
    if lacking := [name for name in FIELDS if not isinstance(row.get(name), str)]:
        raise UserError(f"zeta row {number}: no text in `{lacking[0]}`; a row has {', '.join(FIELDS)}")
    truth = between_markers(row["output"])
    if truth is None or between_markers(row["input"]) is None:
        side = "output" if truth is None else "input"
        raise UserError(f"zeta row {number}: `{side}` has not exactly one {START} and one {END}")
    path, excerpt = _unfenced(row["input"])
    prefix, _, rest = excerpt.partition(START)
    region, _, suffix = rest.partition(END)
    place = region.find(CURSOR)
    region = region.replace(CURSOR, "")
    prefix, suffix = (text.replace(CURSOR, "").replace(FILE_START + "\n", "") for text in (prefix, suffix))
    return Task(
        id=f"zeta-{number}",
        language=language(path) or "other",
        kind="no change" if region == truth else "replace",
        path=path,
        history=tuple(hunk for event in _EVENT.finditer(row["events"]) for hunk in _hunks(event)),
        prefix=prefix,
        region=region,
        suffix=suffix,
        cursor=place if place >= 0 else common_prefix(region, truth),
        truth=truth,
        provenance={"repository": "zed-industries/zeta"},
    )


def _unfenced(text: str) -> tuple[str, str]:
    """Path and code of an excerpt between ```path and ```."""
    found = re.match(r"\s*```([^\n]*)\n(.*?)\n?```\s*$", text, re.DOTALL)
    return (found[1].strip(), found[2]) if found else ("", text)


def _hunks(event: re.Match) -> list[Hunk]:
    """The changes of one event's diff, one for each run of removed and added lines."""
    hunks, removed, added = [], [], []

    def close() -> None:
        if removed or added:
            hunks.append(Hunk(event["path"], "".join(removed), "".join(added)))
            removed.clear()
            added.clear()

    for line in event["diff"].split("\n"):
        if line.startswith("-") and not line.startswith("---"):
            removed.append(line[1:] + "\n")
        elif line.startswith("+") and not line.startswith("+++"):
            added.append(line[1:] + "\n")
        else:
            close()
    close()
    return hunks
