"""From a task to chat messages, by one template file for every kind of data (paper, Table 3).

The markers (<|history|>, <|region|>, ...) are plain text to a real model and single tokens to `nano`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gapo_lab.data.tasks.task import Hunk, Task
from gapo_lab.errors import UserError

DEFAULT_TEMPLATE = Path(__file__).with_name("template.txt")
MARKERS = ("<|history|>", "<|file|>", "<|code|>", "<|region|>", "<|cursor|>", "<|end_region|>", "<|user|>")


@dataclass(frozen=True)
class Template:
    """The three parts of a template file: `[system]`, `[hunk]` and `[user]`, as format strings."""

    system: str
    hunk: str
    user: str


@cache
def load_template(path: str | Path | None = None) -> Template:
    """Read a template file, None for the built-in one.

    Raises UserError when the file or one of its three parts is missing.
    """
    path = Path(path or DEFAULT_TEMPLATE)
    if not path.is_file():
        raise UserError(f"data.template={path}: no such file; leave the key out for the built-in template")
    parts = re.split(r"^\[(system|hunk|user)\]\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], (p.rstrip("\n") for p in parts[2::2]), strict=True))
    missing = [name for name in ("system", "hunk", "user") if name not in found]
    if missing:
        raise UserError(f"data.template={path}: the part [{missing[0]}] is missing")
    return Template(**found)


@dataclass(frozen=True)
class Budget:
    """How much of a task a prompt shows. `window`: code around the region, `history`: earlier edits, in characters.

    With `count`, a function from a text to the places in it where its tokens end, `window` is in tokens.
    """

    window: int = 6000
    history: int = 8000
    count: Callable[[str], Sequence[int]] | None = None


def messages(
    task: Task, template: Template | None = None, budget: Budget = Budget(), system_role: bool = True
) -> list[dict[str, str]]:
    """The chat messages of a task: system, then user.

    The code is cut at line ends, half of the window before the region and half after; the region itself is never cut.
    Of the history the latest edits are shown, the last one always. For a model whose chat template has no system turn
    (`system_role` false) its text stands before the user's, as Mistral's own template puts it.
    """
    template = template or load_template()
    prefix, suffix = _window(task.prefix, task.suffix, budget)
    user = template.user.format(
        path=task.path,
        history="\n".join(_latest([_render_hunk(h, template.hunk) for h in task.history], budget.history)),
        prefix=prefix,
        region_before=task.region[: task.cursor],
        region_after=task.region[task.cursor :],
        suffix=suffix,
        instruction=task.instruction,
    )
    if not system_role:
        return [{"role": "user", "content": f"{template.system}\n\n{user}"}]
    return [{"role": "system", "content": template.system}, {"role": "user", "content": user}]


def _latest(edits: list[str], budget: int) -> list[str]:
    """The last edits that fit into `budget` characters, at the least one."""
    first = len(edits)
    while first and (first == len(edits) or budget >= len(edits[first - 1])):
        first -= 1
        budget -= len(edits[first])
    return edits[first:]


def _render_hunk(hunk: Hunk, template: str) -> str:
    return template.format(path=hunk.path, before_lines=_marked(hunk.before, "-"), after_lines=_marked(hunk.after, "+"))


def _marked(text: str, sign: str) -> str:
    return "\n".join(sign + line for line in text.splitlines())


def _window(prefix: str, suffix: str, budget: Budget) -> tuple[str, str]:
    """Cut the code around the region, whole lines only; room that one side leaves goes to the other."""
    ends = [budget.count(side) if budget.count else range(1, len(side) + 1) for side in (prefix, suffix)]
    before = min(len(ends[0]), max(budget.window // 2, budget.window - len(ends[1])))
    after = min(len(ends[1]), budget.window - before)
    if before < len(ends[0]):
        cut = prefix[ends[0][-before - 1] :] if before else ""
        prefix = cut[cut.find("\n") + 1 :] if "\n" in cut else cut
    if after < len(ends[1]):
        cut = suffix[: ends[1][after - 1]] if after else ""
        suffix = cut[: cut.rfind("\n") + 1] if "\n" in cut else cut
    return prefix, suffix
