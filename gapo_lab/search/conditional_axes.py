"""Which axes a trial has: one that changes nothing about its run (tau with algo=grpo) is not searched there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Any

from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.planning import plan
from gapo_lab.planning.plan import Planned
from gapo_lab.search.search_space import Axis, Space

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
        found = self._at_ends(axis, chosen)
        keys = {run.spec.key for run in found if run.spec}
        # where one value cannot be run and another can, it clearly is read
        return len(keys) > 1 or (bool(keys) and any(run.spec is None for run in found))

    def _at_ends(self, axis: Axis, chosen: Sequence[str]) -> list[Planned]:
        return [self.draft((*self.space.fixed, *chosen, axis.word(end))) for end in axis.ends]

    def at_all_ends(self) -> Iterator[Planned]:
        """Yield a run at each end of each axis, where that axis makes a difference, beside combinations of choices."""
        for chosen in islice(self._combinations(), MOST):
            words: tuple[str, ...] = ()
            for axis in self.space.axes:
                if self.active(axis, words):
                    yield from self._at_ends(axis, words)
                if axis.key in chosen:
                    words = (*words, axis.word(chosen[axis.key]))

    def check(self) -> None:
        """UserError for a value that can be run nowhere, and for an axis that changes nothing anywhere."""
        used: set[str] = set()
        whys: dict[str, dict[str, str]] = {axis.key: {} for axis in self.space.axes}
        works: set[str] = set()
        for chosen in islice(self._combinations(), MOST):
            words: tuple[str, ...] = ()
            for axis in self.space.axes:
                if self.active(axis, words):
                    used.add(axis.key)
                for end, run in zip(axis.ends, self._at_ends(axis, words), strict=True):
                    if run.spec is None:
                        whys[axis.key].setdefault(axis.word(end), run.why)
                    else:
                        works.add(axis.word(end))
                if axis.key in chosen:
                    words = (*words, axis.word(chosen[axis.key]))
        for axis in self.space.axes:
            for word, why in whys[axis.key].items():
                if word not in works:
                    raise UserError(why)
            if axis.key not in used:
                raise UserError(f"{axis.key}: makes no difference to these runs, so there is nothing to search")

    def _combinations(self) -> Iterator[dict[str, Any]]:
        choices = [axis for axis in self.space.axes if axis.choices]
        for values in product(*(axis.choices for axis in choices)):
            yield {axis.key: value for axis, value in zip(choices, values, strict=True)}
