"""Blocks: the micro edits of `data=micro` over regions of one to three lines, some of which stay as they are.

Most of the tasks are of kinds that the warm start has rarely seen (`warm`), so that there is something to learn.
`train`, `dev` and `id` share kinds and languages and are told apart by a hash of the task's text. In `ood` every
task has a language or a kind that the others never have.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from gapo_lab.data.micro.edit_kinds import SEEN_KINDS, UNSEEN_KINDS, Maker
from gapo_lab.data.micro.generator import cursor_place, digest, distinct, hunk, share
from gapo_lab.data.micro.syntax import (
    CALLS,
    FORMS,
    NOUNS,
    SEEN_LANGUAGES,
    SYNTAXES,
    UNSEEN_LANGUAGES,
    VERBS,
    Line,
    Syntax,
    random_line,
    write,
)
from gapo_lab.data.tasks.task import Task
from gapo_lab.errors import UserError

SPLITS = ("train", "dev", "id", "ood")
COMMON_KINDS, RARE_KINDS = SEEN_KINDS, UNSEEN_KINDS
# The share of the rare kinds: in what is trained on and tested, and in what the warm start sees.
RARE, RARE_IN_WARM = 0.7, 0.12
_OTHER_FORMS = {
    "rename_variable": FORMS,
    "change_operator": ("typed", *CALLS),
    "change_literal": ("arith",),
    "change_type": ("arith", "cond", *CALLS),
    "wrap_call": ("cond", "typed", "call"),
    "unwrap_call": ("cond", "typed", "call"),
    "no_change": FORMS,
    "swap_operands": ("cond", "typed", *CALLS),
}
_SHARES = 8  # of eight tasks one belongs to `dev`, one to `id`, the others to `train`


def swap_operands(rng: Random) -> Maker:
    """The two sides of an arithmetic operator change places."""

    def make() -> tuple[Line, Line]:
        line = random_line(rng, ("arith",))
        return line, replace(line, args=line.args[::-1])

    return make


def return_call(rng: Random) -> Maker:
    """A call's value is returned."""
    func = rng.choice(VERBS)

    def make() -> tuple[Line, Line]:
        line = replace(random_line(rng, ("call",)), func=func)
        return line, replace(line, form="return")

    return make


def remove_receiver(rng: Random) -> Maker:
    """A method of one object becomes a function."""
    func, owner = rng.choice(VERBS), rng.choice(NOUNS)

    def make() -> tuple[Line, Line]:
        line = replace(random_line(rng, CALLS), func=func)
        return replace(line, receiver=owner), line

    return make


NEW_KINDS = {f.__name__: f for f in (swap_operands, return_call, remove_receiver)}
KINDS = {**COMMON_KINDS, **RARE_KINDS, **NEW_KINDS}


def generate(split: str, size: int, seed: int = 0) -> list[Task]:
    """`size` different tasks of a split, the same for the same arguments; `warm` is train with few of the rare kinds.

    Raises UserError for an unknown split or a size below 1.
    """
    if split not in (*SPLITS, "warm"):
        raise UserError(f"split={split}: no such split of the blocks; choose one of {', '.join(SPLITS)}")
    rng, home = Random(f"blocks/{split}/{seed}"), split.replace("warm", "train")
    return distinct(size, lambda: _draw(rng, split), lambda task: split == "ood" or _home(task) == home)


def _home(task: Task) -> str:
    return {0: "id", 1: "dev"}.get(share(task, _SHARES), "train")


def _draw(rng: Random, split: str) -> Task:
    """A task with the languages and kinds of the split."""
    rare = rng.random() < (RARE_IN_WARM if split == "warm" else RARE)
    kinds = tuple(RARE_KINDS if rare else COMMON_KINDS)
    languages: tuple[str, ...] = SEEN_LANGUAGES
    if split == "ood":
        if rng.random() < 0.6:
            languages = UNSEEN_LANGUAGES
        else:
            kinds = tuple(NEW_KINDS)
    return _compose(rng, rng.choice(kinds), SYNTAXES[rng.choice(languages)])


def _compose(rng: Random, kind: str, syntax: Syntax) -> Task:
    """History, region and cursor around one edit, which one to three of the region's lines show."""
    make = KINDS[kind](rng)
    shown = [make()] + ([make()] if rng.random() < 0.2 and kind != "no_change" else [])
    gone = {word for before, after in shown for word in _words(before) - _words(after)}
    count = rng.choice((1, 2, 2, 3))
    lines = [make()]
    while len(lines) < count:
        lines.append(make() if rng.random() < 0.5 else _untouched(rng, kind, gone))
    rng.shuffle(lines)
    history = tuple(hunk(pair, syntax) for pair in shown)
    region, truth = ("\n".join(write(line[side], syntax) for line in lines) for side in (0, 1))
    return Task(
        id=f"blocks-{kind}-{digest(syntax, history, region, truth)}",
        language=syntax.language,
        kind=kind,
        path=f"app.{syntax.suffix}",
        history=history,
        prefix="",
        region=region,
        suffix="",
        cursor=cursor_place(rng, region, truth),
        truth=truth,
        provenance={"source": "micro_blocks"},
    )


def _untouched(rng: Random, kind: str, gone: set[str]) -> tuple[Line, Line]:
    """A line that the edit leaves alone: of a form that it does not change and without the words it takes away."""
    forms = _OTHER_FORMS.get(kind, ("arith", "cond", "typed"))
    while True:
        line = random_line(rng, forms)
        if _words(line).isdisjoint(gone):
            return line, line


def _words(line: Line) -> set[str]:
    return {line.name, line.func, line.op, line.type, *line.args, *line.wraps} - {""}
