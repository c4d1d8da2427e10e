"""One task as a person reads it: what was asked, the edits so far, the code with the cursor, the reference answer."""

from __future__ import annotations

import difflib
import re

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from gapo_lab.data.length_table import NAMES
from gapo_lab.data.tasks.task import Task

LINES_ABOUT = 6  # of code about the region
HUNKS = 4  # of the history, the last ones
# Escape sequences and other controls would move a reader's cursor or worse.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def show(task: Task, console: Console) -> None:
    """Print a task; nothing in it is taken for markup or for a terminal's commands."""
    about = task.provenance
    where = " ".join(filter(None, (about.get("repository"), about.get("commit", "")[:10], about.get("time"))))
    title = f"{task.path}   {NAMES.get(task.language, task.language)}, {task.kind}"
    parts: list[RenderableType] = [Text(plain(f"{where}   {about.get('licence', '')}".strip()), style="dim")]
    if task.instruction:
        parts.append(Text(plain(f"“{task.instruction}”"), style="italic"))
    parts += [Rule("the edits so far", align="left", style="dim"), _history(task)]
    parts += [Rule("the code; the region is marked, ▏ is the cursor", align="left", style="dim"), _code(task)]
    parts += [Rule("the reference answer: the region after the edit", align="left", style="dim"), _truth(task)]
    console.print(Panel(Group(*parts), title=Text(plain(title)), title_align="left"))


def plain(text: str) -> str:
    """Return the text with every control character but line feed and tab made visible."""
    return _CONTROL.sub("�", text)


def _history(task: Task) -> Text:
    text = Text()
    left = len(task.history) - HUNKS
    if left > 0:
        text.append(f"({left} earlier)\n", style="dim")
    for hunk in task.history[-HUNKS:]:
        if hunk.path != task.path:
            text.append(plain(hunk.path) + "\n", style="dim")
        _signed(text, "-", hunk.before, "red")
        _signed(text, "+", hunk.after, "green")
        text.append("\n")
    return text or Text("(none)", style="dim")


def _signed(text: Text, sign: str, lines: str, style: str) -> None:
    for line in plain(lines).split("\n")[: None if not lines.endswith("\n") else -1]:
        if lines:
            text.append(f"{sign} {line}\n", style=style)


def _code(task: Task) -> Text:
    above = plain(task.prefix).split("\n")
    below = plain(task.suffix).split("\n")
    text = Text()
    head = "\n".join(above[-LINES_ABOUT - 1 :])
    if len(above) > LINES_ABOUT + 1:
        text.append(f"({len(above) - LINES_ABOUT - 1} lines)\n", style="dim")
    text.append(head)
    text.append(plain(task.region[: task.cursor]), style="on grey23")
    text.append("▏", style="bold yellow")
    text.append(plain(task.region[task.cursor :]), style="on grey23")
    text.append("\n".join(below[:LINES_ABOUT]))
    if len(below) > LINES_ABOUT + 1:
        text.append(f"\n({len(below) - LINES_ABOUT - 1} lines)", style="dim")
    return text


def _truth(task: Task) -> Text:
    if task.region == task.truth:
        return Text("(no change)", style="dim")
    text = Text()
    for line in difflib.ndiff(plain(task.region).split("\n"), plain(task.truth).split("\n")):
        if not line.startswith("?"):
            text.append(line + "\n", style={"-": "red", "+": "green"}.get(line[0], ""))
    text.rstrip()
    return text
