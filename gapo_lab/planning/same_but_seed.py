"""Runs that differ only in their seed: the first and the last of them are drafted, the others are like these. Pure.

A plan of ten thousand runs has a few hundred cells, and composing and checking a run takes milliseconds. Where the two
that were drafted are the same but for the seed, so is every one between them: no rule is about one number. Where
anything else differs (a setting that is made of the seed, a run that is invalid), each run is drafted by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gapo_lab.planning.planned import Planned

# The word for a seed, as grids write it: another spelling is drafted by itself.
_SEED = re.compile(r"seed=(0|[1-9][0-9]{0,17})")

Words = tuple[str, ...]


def drafted(cells: Sequence[Words], draft: Callable[[Words], Planned]) -> list[Planned]:
    """Draft these cells, in their order, those that differ only in their seed together."""
    alike: dict[Words, list[int]] = {}
    for place, words in enumerate(cells):
        alike.setdefault(tuple("seed=" if _SEED.fullmatch(word) else word for word in words), []).append(place)
    out: dict[int, Planned] = {}
    for places in alike.values():
        pattern = None
        if len(places) > 2:
            out |= {place: draft(cells[place]) for place in (places[0], places[-1])}
            pattern = _pattern(out[places[0]], out[places[-1]])
        for place in places:
            if pattern:
                out[place] = pattern.run(_seed(cells[place]))
            elif place not in out:
                out[place] = draft(cells[place])
    return [out[place] for place in range(len(cells))]


def _seed(words: Words) -> int:
    return next(int(found[1]) for word in words if (found := _SEED.fullmatch(word)))


@dataclass(frozen=True)
class _Pattern:
    """Two runs that are the same but for their seeds: one of them, and the settings that are the seed."""

    like: Planned
    keys: frozenset[str]

    def run(self, seed: int) -> Planned:
        """Return the run of this seed."""

        def seeded(words: Words) -> Words:
            return tuple(f"seed={seed}" if _SEED.fullmatch(word) else word for word in words)

        spec = self.like.valid_spec
        settings = Seeded(self.like.settings, self.keys, seed)
        return replace(
            self.like,
            words=seeded(self.like.words),
            spec=spec.with_seed(seed, seeded(spec.overrides)),
            settings=settings,
            like=self.like,
        )


def _pattern(one: Planned, other: Planned) -> _Pattern | None:
    """Return what both are like; None where they differ in more than their seeds."""
    if one.spec is None or other.spec is None or one.spec.seed == other.spec.seed:
        return None
    seeds = (one.spec.seed, other.spec.seed)
    if seeds != (_seed(one.words), _seed(other.words)) or one.settings.keys() != other.settings.keys():
        return None
    different = {key for key, value in one.settings.items() if value != other.settings[key]}
    if any((one.settings[key], other.settings[key]) != seeds for key in different):
        return None
    pattern = _Pattern(one, frozenset(different))
    made = pattern.run(seeds[1])
    same = (made.words, made.spec) == (other.words, other.spec)
    return pattern if same and (one.action, one.why, one.called) == (other.action, other.why, other.called) else None


class Seeded(Mapping[str, Any]):
    """The settings ``of`` a run with another seed, which is the value of ``keys_of_seed``."""

    __slots__ = ("keys_of_seed", "of", "seed")

    def __init__(self, of: Mapping[str, Any], keys_of_seed: frozenset[str], seed: int) -> None:
        self.of, self.keys_of_seed, self.seed = of, keys_of_seed, seed

    def __getitem__(self, key: str) -> Any:
        return self.seed if key in self.keys_of_seed else self.of[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def __len__(self) -> int:
        return len(self.of)

    def __repr__(self) -> str:
        return repr(dict(self))


# Stands for the seed in a text; a number that no setting has.
_MARK = 918_273_645_546_372_819


class Texts:
    """What ``write`` makes of the settings of runs: once of those that differ only in their seed, whose texts then
    differ only in that number. (A config has a thousand lines, and writing them as YAML takes 20 ms.)"""

    def __init__(self, write: Callable[[Mapping[str, Any]], str]) -> None:
        self._write = write
        self._marked: dict[int, tuple[Seeded, str | None]] = {}  # by the id of the settings, which are kept beside it

    def of(self, settings: Mapping[str, Any]) -> str:
        text = self._text_with_mark(settings) if isinstance(settings, Seeded) else None
        if not isinstance(settings, Seeded) or text is None:
            return self._write(settings)
        return text.replace(str(_MARK), str(settings.seed))

    def _text_with_mark(self, settings: Seeded) -> str | None:
        """Return the text with the mark as its seed; None where the mark does not stand once for each key."""
        if id(settings.of) not in self._marked:
            marked = Seeded(settings.of, settings.keys_of_seed, _MARK)
            text = self._write(marked)
            is_each_once = text.count(str(_MARK)) == len(settings.keys_of_seed)
            self._marked[id(settings.of)] = (marked, text if is_each_once else None)
        return self._marked[id(settings.of)][1]
