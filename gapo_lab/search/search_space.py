"""What is searched: axes in Hydra's words, and from a trial's values to the words of its runs. Pure.

tau=interval(0.05,1)                    a number
lr=tag(log,interval(1e-5,1e-3))         a number, by its logarithm
n=int(interval(2,16))  n=range(2,17,2)  a whole number
algo=grpo,gapo_grpo  x=choice(a,b)      one of several
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

from gapo_lab.config import sweep_grid
from gapo_lab.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

# Significant digits of a number in a run's words: more are noise, and nobody can type them.
DIGITS = 4


@dataclass(frozen=True)
class Axis:
    """One parameter. ``choices`` and ``texts`` (as Hydra reads them) where it is one of several, else the bounds."""

    key: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: Trial) -> Any:
        """Return the trial's value: what it has already, else what its sampler proposes."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def word(self, value: Any) -> str:
        """`tau=0.4213`: the value as a run is given it."""
        return f"{self.key}={self.text(value)}"

    def text(self, value: Any) -> str:
        if self.choices:
            return self.texts[self.choices.index(value)]
        if self.whole:
            return str(int(value))
        return f"{min(max(float(f'{value:.{DIGITS}g}'), self.low), self.high):.12g}"

    @property
    def ends(self) -> tuple[Any, ...]:
        """Every choice, or the two bounds."""
        if self.choices:
            return self.choices
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    @property
    def values(self) -> list[Any] | None:
        """All of its values; None where they have no end."""
        if self.choices:
            return list(self.choices)
        if self.log or not (self.whole or self.step):
            return None
        step = self.step or 1
        found = [self.low + n * step for n in range(math.floor((self.high - self.low) / step + 1e-9) + 1)]
        return [int(value) for value in found] if self.whole else found


@dataclass(frozen=True)
class Space:
    """``fixed``: the words of every run; ``axes``: what is searched, choices first, as others may depend on them."""

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]

    def words(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the words of a trial's runs, without the seed. Axes that the trial does not have are left out."""
        return (*self.fixed, *(axis.word(params[axis.key]) for axis in self.axes if axis.key in params))

    @property
    def size(self) -> int | None:
        """How many combinations there are; None where they have no end."""
        values = [axis.values for axis in self.axes]
        return math.prod(len(found) for found in values if found is not None) if None not in values else None


def make_space(
    words: Sequence[str],
    params: Mapping[str, object] | None = None,
    instead: Mapping[str, Mapping[str, object]] | None = None,
) -> tuple[Space, int]:
    """Return the space of a command line over a sweep file (see ``grid.merged``), and the first seed.

    UserError where there is nothing to search, or a word is no axis.
    """
    merged = [word for word in sweep_grid.merged(words, params, instead) if not is_of_search(word)]
    fixed, axes, seed = [], [], 0
    for word in merged:
        override = sweep_grid.parse(word)
        if sweep_grid.key(word) == "seed":
            seed = _seed(word, override)
        elif not override.is_sweep_override():
            fixed.append(word)
        else:
            axes.append(_axis(word, override))
    if not axes:
        raise UserError(
            "nothing to search. Give an interval or choices, such as 'tau=interval(0.05,1)' or algo=grpo,gapo_grpo"
        )
    axes.sort(key=lambda axis: not axis.choices)
    return Space(tuple(fixed), tuple(axes)), seed


def is_of_search(word: str) -> bool:
    """Words for the search itself; its runs do not get them."""
    return sweep_grid.key(word).startswith(("search.", "search/", "hydra"))


def _seed(word: str, override: Override) -> int:
    value = override.value()
    if override.is_sweep_override() or isinstance(value, bool) or not isinstance(value, int):
        raise UserError(
            f"{word}: a search takes one number, the first seed. Give search.seeds=N for more seeds a trial"
        )
    return value


def _axis(word: str, override: Override) -> Axis:
    key, value = override.get_key_element(), override.value()
    if isinstance(value, ChoiceSweep):
        texts = tuple(override.sweep_string_iterator())
        choices = tuple(_choice(one, text) for one, text in zip(value.list, texts, strict=True))
        if len(set(texts)) < len(texts):
            raise UserError(f"{word}: a choice is there twice. Name it once")
        return Axis(key, choices=choices, texts=texts)
    if isinstance(value, RangeSweep):
        if not value.step or value.step < 0 or value.start >= value.stop:
            raise UserError(f"{word}: a range goes up, as in {key}=range(2,17,2)")
        whole = all(isinstance(number, int) for number in (value.start, value.stop, value.step))
        count = math.ceil((value.stop - value.start) / value.step - 1e-9)
        return Axis(key, value.start, value.start + (count - 1) * value.step, value.step, whole=whole)
    if isinstance(value, IntervalSweep):
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return _interval(Axis(key, value.start, value.end, log="log" in value.tags, whole=whole), word)
    raise UserError(f"{word}: cannot be searched. Write {key}=interval(LOW,HIGH) or {key}=choice(A,B)")


def _choice(value: Any, text: str) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else text


def _interval(axis: Axis, word: str) -> Axis:
    if not axis.low < axis.high:
        raise UserError(f"{word}: the first bound must be below the second. Swap them")
    if axis.log and axis.low <= 0:
        raise UserError(f"{word}: a logarithm needs bounds above 0")
    return axis
