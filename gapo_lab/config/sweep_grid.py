"""The words of a sweep to the words of each of its cells: `algo=grpo,dapo seed=range(5)` is ten cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.errors import HydraException

from gapo_lab.config.compose import compose_run
from gapo_lab.config.override_errors import unreadable
from gapo_lab.errors import UserError

# More runs than this is a slip of the finger.
LARGEST = 20_000
# The paper's five seeds.
FIVE_SEEDS = "seed=range(5)"


@dataclass(frozen=True)
class Grid:
    """Axes, slowest first; each is the words that it goes through: `("tau=0.1", "tau=0.5")`."""

    axes: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return prod(len(axis) for axis in self.axes)

    def cells(self) -> list[tuple[str, ...]]:
        """Return the words of each run, the last axis running fastest."""
        return list(product(*self.axes))

    @property
    def fixed(self) -> tuple[str, ...]:
        """The words that are the same in every run."""
        return tuple(axis[0] for axis in self.axes if len(axis) == 1)


def make_grid(
    words: Sequence[str],
    params: Mapping[str, object] | None = None,
    instead: Mapping[str, Mapping[str, object]] | None = None,
) -> Grid:
    """Return the grid of a command line over a sweep file.

    params: the sweep file's own axes, `{"model": "a,b"}`; a word of the command line takes the place of its axis.
    instead: axes that stand in for the file's where the command line has that word,
    `{"scale=nano": {"model": "nano"}}`.
    Without a `seed` anywhere it is the paper's five seeds. UserError for an empty or a far too large grid.
    """
    everything = merged(words, params, instead)
    if "seed" not in map(key, everything):
        everything.append(FIVE_SEEDS)
    grid = Grid(_axes(everything))
    for axis in grid.axes:
        if key(axis[0]) == "study" and len(axis) > 1:
            raise UserError(f"{' '.join(axis)}: a sweep is of one study. Take study={axis[0].partition('=')[2]}")
    if len(grid) > LARGEST:
        sizes = " x ".join(f"{len(axis)} {key(axis[0])}" for axis in grid.axes if len(axis) > 1)
        raise UserError(f"{sizes} is {len(grid):,} runs, more than {LARGEST:,}. Sweep over fewer at a time")
    return grid


def make_cells(
    words: Sequence[str],
    params: Mapping[str, object] | None = None,
    instead: Mapping[str, Mapping[str, object]] | None = None,
    also: Mapping[str, Mapping[str, object]] | None = None,
) -> list[tuple[str, ...]]:
    """Return the words of each run of a sweep: its grid (`make_grid`), then each further grid of `also`.

    also: `{"noise": {"algo": "grpo,dapo", "noise": "0.1,0.2"}}`, axes that stand in for those of params; the others and
    the words of the command line, hold for it too. Where all go round the same axis slowest, such as the seed, they do
    so together.
    """
    of_each = [dict(params or {}), *({**(params or {}), **axes} for axes in (also or {}).values())]
    grids = [make_grid(words, axes, instead) for axes in of_each]
    cells = [cell for grid in grids for cell in grid.cells()]
    slowest = grids[0].axes[0]
    if all(grid.axes[0] == slowest for grid in grids):
        turn = {word: place for place, word in enumerate(slowest)}
        cells.sort(key=lambda cell: turn[cell[0]])
    if len(cells) > LARGEST:
        raise UserError(f"{len(cells):,} runs are more than {LARGEST:,}. Sweep over fewer at a time")
    return cells


def merged(
    words: Sequence[str],
    params: Mapping[str, object] | None = None,
    instead: Mapping[str, Mapping[str, object]] | None = None,
) -> list[str]:
    """Return the words of a sweep file, and behind them those of a command line that stand in for none of them; see
    ``make_grid``. What stands in for an axis goes round as slowly as it did."""
    given: dict[str, str] = {key(word): word for word in words}
    axes = dict(params or {})
    for word, others in (instead or {}).items():
        if word in words:
            axes |= dict(others)
    places = [given.get(name, f"{name}={text(value)}") for name, value in axes.items()]
    return [*places, *(word for word in words if word not in places)]


def text(value: object) -> str:
    """Return a value of a YAML file as a word has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def key(word: str) -> str:
    """`+sweep=table2` -> `sweep`: what two words must share for one to replace the other."""
    return word.partition("=")[0].lstrip("+~")


def _axes(words: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the words that each word stands for. UserError, a line each, for those that cannot be read."""
    axes: list[tuple[str, ...]] = []
    faults: list[str] = []
    for word in words:
        try:
            axes.append(_axis(word))
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join([*faults, *_other_faults([axis[0] for axis in axes])]))
    return tuple(axes)


def _other_faults(words: Sequence[str]) -> list[str]:
    """Return what else is wrong with the words that can be read, a line each."""
    try:
        compose_run(words)
    except UserError as error:
        return str(error).splitlines()
    return []


def _axis(word: str) -> tuple[str, ...]:
    """Return the words that one word stands for."""
    override = parse(word)
    if not override.is_sweep_override():
        return (word,)
    if not override.is_discrete_sweep():
        raise UserError(
            f"{word}: a grid needs values, as in {key(word)}=1,2,3 or {key(word)}=range(3); +sweep=search searches "
            "an interval"
        )
    values = override.value()
    if isinstance(values, Glob):
        raise UserError(f"{word}: glob() is not supported. Name the values: {key(word)}=A,B")
    size = abs(values.stop - values.start) / abs(values.step) if isinstance(values, RangeSweep) and values.step else 0
    if size > LARGEST:
        raise UserError(f"{word}: more than {LARGEST:,} values. Sweep over fewer at a time")
    name = override.get_key_element()
    found = tuple(f"{name}={value}" for value in islice(override.sweep_string_iterator(), LARGEST + 1))
    if not found:
        raise UserError(f"{word}: no values, so there is nothing to run. Give one or more")
    return found


def parse(word: str) -> Override:
    """One word as Hydra reads it. UserError where it cannot."""
    if "=" in word and not word.partition("=")[2].strip():
        raise UserError(f"{word}: no value. Write {word}VALUE, or {word}null for none")
    try:
        return OverridesParser.create().parse_override(word)
    except (HydraException, ValueError) as error:
        raise UserError(unreadable(word, error)) from error
