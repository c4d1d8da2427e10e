"""The kinds of micro edit.

A kind draws what its edit is about (which name, which literal) and gives back a maker; every call of the
maker is another line with that same edit, before and after. So earlier calls explain later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from gapo_lab.data.micro.syntax import (
    ARITHMETIC,
    CALLS,
    COMPARISONS,
    FORMS,
    NOUNS,
    NUMBERS,
    TYPES,
    VERBS,
    Line,
    random_line,
)

Maker = Callable[[], tuple[Line, Line]]


def rename_variable(rng: Random) -> Maker:
    """A variable gets another name, wherever the line has it."""
    old, new = rng.sample(NOUNS, 2)

    def make() -> tuple[Line, Line]:
        line = _with_noun(rng, old, avoid=new)
        return line, _renamed(line, old, new)

    return make


def rename_function(rng: Random) -> Maker:
    """A function gets another name."""
    old, new = rng.sample(VERBS, 2)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, CALLS)
        return replace(line, func=old), replace(line, func=new)

    return make


def change_literal(rng: Random) -> Maker:
    """A number becomes another."""
    old, new = rng.sample(NUMBERS, 2)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, (*CALLS, "cond", "typed"), fewest_args=2)
        return _last_arg(line, old), _last_arg(line, new)

    return make


def change_operator(rng: Random) -> Maker:
    """An operator becomes another of its family."""
    form, family = rng.choice((("arith", ARITHMETIC), ("cond", COMPARISONS)))
    old, new = rng.sample(family, 2)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, (form,))
        return replace(line, op=old), replace(line, op=new)

    return make


def change_type(rng: Random) -> Maker:
    """A declared type becomes another."""
    old, new = rng.sample(TYPES, 2)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, ("typed",))
        return replace(line, type=old), replace(line, type=new)

    return make


def swap_arguments(rng: Random) -> Maker:
    """The two arguments of a call change places."""
    func = rng.choice(VERBS)

    def make() -> tuple[Line, Line]:
        line = replace(random_line(rng, CALLS, fewest_args=2), func=func)
        return line, replace(line, args=line.args[::-1])

    return make


def add_argument(rng: Random) -> Maker:
    """A call gets one more argument, the same everywhere."""
    func, extra = rng.choice(VERBS), rng.choice(NOUNS + NUMBERS)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, CALLS)
        line = replace(line, func=func, args=line.args[:1])
        return line, replace(line, args=(*line.args, extra))

    return make


def remove_argument(rng: Random) -> Maker:
    """A call loses its last argument, the same everywhere."""
    func, extra = rng.choice(VERBS), rng.choice(NOUNS + NUMBERS)

    def make() -> tuple[Line, Line]:
        line = _last_arg(replace(random_line(rng, CALLS, fewest_args=2), func=func), extra)
        return line, replace(line, args=line.args[:1])

    return make


def wrap_call(rng: Random) -> Maker:
    """The value goes through one more call."""
    outer = rng.choice(VERBS)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, ("assign", "return", "arith"))
        return line, replace(line, wraps=(outer,))

    return make


def no_change(rng: Random) -> Maker:
    """The first call renames a variable; later lines have nothing to rename and stay as they are."""
    old, new = rng.sample(NOUNS, 2)
    made = 0

    def make() -> tuple[Line, Line]:
        nonlocal made
        made += 1
        if made < 2:
            line = _with_noun(rng, old, avoid=new)
            return line, _renamed(line, old, new)
        line = _without_nouns(rng, {old, new})
        return line, line

    return make


def add_two_arguments(rng: Random) -> Maker:
    """A call gets two more arguments, the same everywhere."""
    func, extras = rng.choice(VERBS), (rng.choice(NOUNS), rng.choice(NUMBERS))

    def make() -> tuple[Line, Line]:
        line = random_line(rng, CALLS)
        line = replace(line, func=func, args=line.args[:1])
        return line, replace(line, args=(*line.args, *extras))

    return make


def wrap_argument(rng: Random) -> Maker:
    """The only argument of a call goes through one more call."""
    outer = rng.choice(VERBS)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, CALLS)
        line = replace(line, args=line.args[:1])
        return line, replace(line, args=(f"{outer}({line.args[0]})",))

    return make


def unwrap_call(rng: Random) -> Maker:
    """A call around the value goes away."""
    outer = rng.choice(VERBS)

    def make() -> tuple[Line, Line]:
        line = random_line(rng, ("assign", "return", "arith"))
        return replace(line, wraps=(outer,)), line

    return make


def add_receiver(rng: Random) -> Maker:
    """A function becomes a method of one object."""
    func, owner = rng.choice(VERBS), rng.choice(NOUNS)

    def make() -> tuple[Line, Line]:
        line = replace(random_line(rng, CALLS), func=func)
        return line, replace(line, receiver=owner)

    return make


SEEN_KINDS: dict[str, Callable[[Random], Maker]] = {
    f.__name__: f
    for f in (
        rename_variable,
        rename_function,
        change_literal,
        change_operator,
        change_type,
        swap_arguments,
        add_argument,
        remove_argument,
        wrap_call,
        no_change,
    )
}
UNSEEN_KINDS: dict[str, Callable[[Random], Maker]] = {
    f.__name__: f for f in (add_two_arguments, wrap_argument, unwrap_call, add_receiver)
}
KINDS = {**SEEN_KINDS, **UNSEEN_KINDS}


def _renamed(line: Line, old: str, new: str) -> Line:
    return replace(
        line,
        name=new if line.name == old else line.name,
        args=tuple(new if a == old else a for a in line.args),
    )


def _last_arg(line: Line, arg: str) -> Line:
    return replace(line, args=(*line.args[:-1], arg))


def _without_nouns(rng: Random, nouns: set[str], forms: tuple[str, ...] = FORMS) -> Line:
    """A line that has none of the nouns."""
    while True:
        line = random_line(rng, forms)
        if line.name not in nouns and nouns.isdisjoint(line.args):
            return line


def _with_noun(rng: Random, noun: str, avoid: str) -> Line:
    """A line that has the noun, as its name or as one of its arguments, and not the noun to avoid."""
    line = _without_nouns(rng, {noun, avoid})
    places = [i for i, a in enumerate(line.args) if a in NOUNS] + ([-1] if line.name else [])
    place = rng.choice(places)
    if place < 0:
        return replace(line, name=noun)
    return replace(line, args=(*line.args[:place], noun, *line.args[place + 1 :]))
