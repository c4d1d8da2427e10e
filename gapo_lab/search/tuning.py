"""The settings at which each method is compared: as many tried for each, chosen by the dev set. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gapo_lab.config import sweep_grid
from gapo_lab.errors import UserError
from gapo_lab.runs import picked

# Words that are tried together: `actor_rollout_ref.actor.optim.lr=1e-4`, or that and a `tau=0.5`.
Words = tuple[str, ...]
# The study of the first stage is called after the second one's: fair_tuning.
STUDY = "{}_tuning"
# Candidates of methods that have no list of their own.
OTHERS = "others"


@dataclass(frozen=True)
class Choice:
    """What was chosen for one method on one model.

    means: the mean over seeds on the dev set of each candidate, in order. edge: the numeric key whose chosen value is
    the smallest or the largest that was tried, and that value; None where there is room on both sides.
    """

    method: str
    model: str
    candidates: tuple[Words, ...]
    means: tuple[float, ...]
    best: Words
    edge: str | None


def candidates(
    said: Mapping[str, object], methods: Sequence[str], is_known: Callable[[str], bool]
) -> dict[str, tuple[Words, ...]]:
    """Return the candidates of each method. UserError unless each has as many, each once.

    said: method, or `others` -> a list of lines of overrides, `["lr=1e-4", "lr=2e-4 tau=0.3"]`. is_known: whether there
    is a method of this name, in this sweep or not.
    """
    found = {}
    for method in methods:
        lines = said.get(method, said.get(OTHERS))
        if not isinstance(lines, Sequence) or isinstance(lines, str) or not lines:
            raise UserError(f"fair.candidates.{method}: must be a list of overrides, as [tau=0.3, tau=0.5]")
        found[method] = tuple(tuple(str(line).split()) for line in lines)
        if len(set(found[method])) < len(lines):
            raise UserError(f"fair.candidates.{method}: one of them stands there twice. Leave it out")
        for word in (word for one in found[method] for word in one):
            sweep_grid.parse(word)
    if unknown := [name for name in said if name not in (*methods, OTHERS) and not is_known(name)]:
        raise UserError(f"fair.candidates.{unknown[0]}: no such method. Those of this sweep: {', '.join(methods)}")
    sizes = {method: len(lines) for method, lines in found.items()}
    if len(set(sizes.values())) > 1:
        said_sizes = ", ".join(f"{method} {size}" for method, size in sizes.items())
        raise UserError(f"fair.candidates: each method must have as many to try, not {said_sizes}")
    return found


def measured(merged: Mapping[int, Mapping[str, float]], by: str) -> float | None:
    """Return what a run with these metrics by step says of its candidate: its best value on the dev set once trained.

    All candidates are equal before training: that value would be the best of each that makes the model worse.
    """
    return picked.value({step: found for step, found in merged.items() if step > 0}, by)


def choose(method: str, model: str, tried: Sequence[Words], values: Sequence[Sequence[float]]) -> Choice:
    """Return the candidate with the highest mean; the first of equal ones.

    values: of each candidate, one number a seed, the same seeds for all.
    """
    means = tuple(math.fsum(one) / len(one) for one in values)
    best = tried[max(range(len(means)), key=lambda n: (means[n], -n))]
    return Choice(method, model, tuple(tried), means, best, edge(best, tried))


def edge(best: Words, tried: Sequence[Words]) -> str | None:
    """Return the first word of ``best`` whose number is the smallest or largest tried of three or more; else None."""
    for word in best:
        key, _, text = word.partition("=")
        numbers = {number for one in tried for other in one if (number := _number(other, key)) is not None}
        mine = _number(word, key)
        if len(numbers) > 2 and mine is not None and mine in (min(numbers), max(numbers)):
            return f"{key}={text}"
    return None


def _number(word: str, key: str) -> float | None:
    name, _, text = word.partition("=")
    try:
        return float(text) if name == key else None
    except ValueError:
        return None
