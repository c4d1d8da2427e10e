"""Which axes a trial has: one that changes nothing about its run (tau with algo=grpo) is not searched there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product

from gapo_lab import plan
from gapo_lab.compose_many import Composer
from gapo_lab.errors import UserError
from gapo_lab.plan import Planned
from gapo_lab.search.space import Axis, Space

# Combinations of choices that are looked at before a search begins.
MOST = 300


class Conditions:
    """Composes runs to see what an axis does there. What was seen is kept: Hydra takes 10 ms a run."""

    def __init__(self, space: Space, seed: int = 0) -> None:
        self.space, self.seed = space, f"seed={seed}"
        self.composer = Composer()
        self._seen: dict[tuple[str, ...], Planned] = {}

    def draft(self, words: Sequence[str]) -> Planned:
        """One run of these words, composed and checked."""
        words = (*words, self.seed)
        if words not in self._seen:
            (self._seen[words],) = plan.draft([words], self.composer)
        return self._seen[words]

    def active(self, axis: Axis, chosen: Sequence[str]) -> bool:
        """Whether the axis makes a difference beside these words; ``chosen``: those of the choices before it."""
        return self._problem(axis, chosen) is None and len(self._keys(axis, chosen)) > 1

    def _keys(self, axis: Axis, chosen: Sequence[str]) -> set[str]:
        found = (self.draft((*self.space.fixed, *chosen, axis.word(end))) for end in axis.ends)
        return {run.spec.key for run in found if run.spec}

    def _problem(self, axis: Axis, chosen: Sequence[str]) -> str | None:
        """Why none of its values can be run here; None where one can."""
        found = [self.draft((*self.space.fixed, *chosen, axis.word(end))) for end in axis.ends]
        return found[0].why if all(run.spec is None for run in found) else None

    def check(self) -> None:
        """UserError for an axis that changes nothing anywhere, and for a value that cannot be run anywhere."""
        used: set[str] = set()
        why: dict[str, str] = {}
        for chosen in islice(self._combinations(), MOST):
            words: tuple[str, ...] = ()
            for axis in self.space.axes:
                if problem := self._problem(axis, words):
                    why.setdefault(axis.key, problem)
                    continue
                if len(self._keys(axis, words)) > 1 or len(axis.ends) == 1:
                    used.add(axis.key)
                    for end in axis.ends:
                        if wrong := self._wrong(axis, words, end):
                            raise UserError(wrong)
                if axis.key in chosen:
                    words = (*words, axis.word(chosen[axis.key]))
        for axis in self.space.axes:
            if axis.key not in used:
                reason = why.get(
                    axis.key, f"{axis.key}: makes no difference to these runs, so there is nothing"
                )
                raise UserError(reason + ("" if axis.key in why else " to search"))

    def _wrong(self, axis: Axis, words: tuple[str, ...], end: object) -> str | None:
        return self.draft((*self.space.fixed, *words, axis.word(end))).why or None

    def _combinations(self):
        choices = [axis for axis in self.space.axes if axis.choices]
        for values in product(*(axis.choices for axis in choices)):
            yield {axis.key: value for axis, value in zip(choices, values, strict=True)}
