"""Micro edits: generated history-aware edits, small enough to learn on two CPU cores.

Each task shows an edit made once or twice elsewhere; the region must be edited the same way. `train` and
`id` share kinds and languages and are told apart by a hash of the task's text, so no task is in both, whatever
their sizes and seeds. `dev` is drawn from the tasks of `id` with other numbers: leave out what `id` has. In `ood` every
task has a language or a kind that the others never have.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from random import Random

from gapo_lab.data.micro.edit_kinds import KINDS, SEEN_KINDS, UNSEEN_KINDS
from gapo_lab.data.micro.syntax import (
    SEEN_LANGUAGES,
    SYNTAXES,
    UNSEEN_LANGUAGES,
    Line,
    Syntax,
    random_line,
    write,
)
from gapo_lab.data.tasks.task import Hunk, Task
from gapo_lab.errors import UserError

SPLITS = ("train", "dev", "id", "ood")
_PIECE = re.compile(r"\w+| ?[^\w\s]+ ?| ")
_ID_SHARE = 8  # one task in eight belongs to `id`, the others to `train`


def generate(split: str, size: int, seed: int = 0, without: Collection[str] = ()) -> list[Task]:
    """`size` different tasks of a split, the same for the same arguments; none whose id is in `without`.

    Raises UserError for an unknown split or a size below 1.
    """
    if split not in SPLITS:
        raise UserError(f"split={split}: no such split of the micro edits; choose one of {', '.join(SPLITS)}")
    rng, home = Random(f"micro/{split}/{seed}"), "id" if split == "dev" else split

    def belongs(task: Task) -> bool:
        return (split == "ood" or _home(task) == home) and task.id not in without

    return distinct(size, lambda: _draw(rng, split), belongs)


def distinct(size: int, draw: Callable[[], Task], belongs: Callable[[Task], bool]) -> list[Task]:
    """Draw until there are `size` different tasks that belong; an edit that changes nothing is none.

    Raises UserError for a size below 1.
    """
    if size < 1:
        raise UserError(f"size={size}: a split needs at least one task")
    tasks: dict[str, Task] = {}
    while len(tasks) < size:
        task = draw()
        if (task.kind == "no_change" or task.truth != task.region) and belongs(task):
            tasks.setdefault(task.id, task)
    return list(tasks.values())


def share(task: Task, shares: int) -> int:
    """Which of so many equal shares of all tasks a task is in, by the hash of its text."""
    return int(task.id.rpartition("-")[2], 16) % shares


def _home(task: Task) -> str:
    return "id" if share(task, _ID_SHARE) == 0 else "train"


def _draw(rng: Random, split: str) -> Task:
    """A task with the languages and kinds of the split."""
    if split != "ood":
        language, kind = rng.choice(SEEN_LANGUAGES), rng.choice(tuple(SEEN_KINDS))
    elif rng.random() < 0.6:
        language, kind = rng.choice(UNSEEN_LANGUAGES), rng.choice(tuple(SEEN_KINDS))
    else:
        language, kind = rng.choice(SEEN_LANGUAGES), rng.choice(tuple(UNSEEN_KINDS))
    return _compose(rng, kind, SYNTAXES[language])


def _compose(rng: Random, kind: str, syntax: Syntax) -> Task:
    """History, code, region and cursor around one edit. Either a second hunk or a line of context, or neither."""
    make = KINDS[kind](rng)
    extra = rng.random()
    hunks = 2 if extra < 0.12 and kind != "no_change" else 1
    history = tuple(hunk(make(), syntax) for _ in range(hunks))
    before, after = make()
    region, truth = write(before, syntax), write(after, syntax)
    context = write(random_line(rng), syntax) if 0.12 < extra < 0.3 else ""
    prefix, suffix = (f"{context}\n", "") if extra < 0.21 and context else ("", f"\n{context}" if context else "")
    return Task(
        id=f"micro-{kind}-{digest(syntax, history, prefix, region, suffix, truth)}",
        language=syntax.language,
        kind=kind,
        path=f"app.{syntax.suffix}",
        history=history,
        prefix=prefix,
        region=region,
        suffix=suffix,
        cursor=cursor_place(rng, region, truth),
        truth=truth,
        provenance={"source": "micro"},
    )


def digest(syntax: Syntax, history: tuple[Hunk, ...], *code: str) -> str:
    """Twelve hex digits over the text of a task: its history, then the parts of its code and the truth in order."""
    text = "\0".join((*(h.before + "\0" + h.after for h in history), *code))
    return hashlib.sha1(f"{syntax.language}\0{text}".encode()).hexdigest()[:12]


def hunk(pair: tuple[Line, Line], syntax: Syntax) -> Hunk:
    return Hunk(f"lib.{syntax.suffix}", write(pair[0], syntax), write(pair[1], syntax))


def cursor_place(rng: Random, region: str, truth: str) -> int:
    """The end of the region or, three in ten, the start of the piece where the edit begins."""
    if rng.random() < 0.7:
        return len(region)
    starts = [m.start() for m in _PIECE.finditer(region)]
    if region == truth:
        return rng.choice(starts)
    same = next(
        (i for i, (a, b) in enumerate(zip(region, truth, strict=False)) if a != b), min(len(region), len(truth))
    )
    return max(start for start in starts if start <= same)
