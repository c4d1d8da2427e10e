"""Cells laid out by any of their parameters: which cell stands in which row and column."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from analysis.paper import conventions
from analysis.results.runs import Cell
from gapo_lab.errors import UserError
from gapo_lab.utils.key_names import did_you_mean

Key = tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """``at[row, column]`` is a cell; a place without one was not run.

    ``noisy`` and ``unusual`` (in tau) are cells that have no place, because another one stands in it.
    """

    row_axes: Key
    column_axes: Key
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    at: Mapping[tuple[Key, Key], Cell]
    noisy: tuple[Cell, ...] = ()
    unusual: tuple[Cell, ...] = ()

    def left_out(self, elsewhere: Container[str] = ()) -> tuple[str, ...]:
        """Lines for what has no place here; ``elsewhere``: ids of cells that are shown."""
        noisy, unusual = ([cell for cell in cells if cell.id not in elsewhere] for cells in (self.noisy, self.unusual))
        return (*_unusual(unusual), *_noisy(noisy))


def lay_out(cells: Sequence[Cell], rows: Sequence[str] = ("algo",), columns: Sequence[str] = ("model",)) -> Grid:
    """Cells by the values of their ``rows`` and ``columns`` parameters, in the paper's order.

    Where tau is no axis and a method ran with several, the paper's 0.5 stands for it and the others have no place;
    nor has what ran with noise where noise is no axis and something ran without. UserError for an axis that no
    cell has, and where two cells would share a place.
    """
    _check_axes(cells, (*rows, *columns))
    places: dict[tuple[Key, Key], list[Cell]] = {}
    for cell in cells:
        place = _key(cell, rows), _key(cell, columns)
        places.setdefault(place, []).append(cell)
    at, unusual, noisy = {}, [], []
    for place, here in places.items():
        if "noise" not in (*rows, *columns) and len({cell.noise for cell in here}) > 1:
            noisy += [cell for cell in here if cell.noise]
            here = [cell for cell in here if not cell.noise] or here
        if len(here) > 1 and "tau" not in (*rows, *columns):
            usual = [cell for cell in here if cell.tau == conventions.TAU]
            if usual and len({cell.tau for cell in here}) > 1:
                unusual += [cell for cell in here if cell not in usual]
                here = usual
        if len(here) > 1:
            raise UserError(_ambiguous(here, (*rows, *columns)))
        at[place] = here[0]
    found_rows = sorted({row for row, _ in at}, key=lambda key: _order(key, rows))
    found_columns = sorted({column for _, column in at}, key=lambda key: _order(key, columns))
    return Grid(
        tuple(rows),
        tuple(columns),
        tuple(found_rows),
        tuple(found_columns),
        at,
        tuple(noisy),
        tuple(unusual),
    )


def place(key: Key, axes: Sequence[str]) -> str:
    """Return a column in words: `nano`, `nano noise=0.1`."""
    return " ".join(text if axis == "model" else f"{axis}={text}" for axis, text in zip(axes, key, strict=True))


def _noisy(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return a line for the cells with noise on their rewards."""
    if not cells:
        return ()
    algos = sorted({cell.algo for cell in cells}, key=conventions.method_order)
    levels = ", ".join(f"{noise:g}" for noise in sorted({cell.noise for cell in cells}))
    return (f"{', '.join(algos)} noise={levels}: not among those without noise (--cols model,noise shows all)",)


def _unusual(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return a line a method for the cells whose tau is not the paper's."""
    out = []
    for algo in sorted({cell.algo for cell in cells}):
        mine = [cell for cell in cells if cell.algo == algo]
        taus = ", ".join(f"{tau:g}" for tau in sorted({cell.tau for cell in mine if cell.tau is not None}))
        models = sorted({cell.model for cell in mine}, key=conventions.model_order)
        where = models[0] if len(models) == 1 else f"{len(models)} models"
        out.append(f"{algo} tau={taus}, {where}: not the usual tau={conventions.TAU:g} (--rows algo,tau shows all)")
    return tuple(out)


def _check_axes(cells: Sequence[Cell], axes: Sequence[str]) -> None:
    there = {name for cell in cells for name in cell.params}
    for axis in axes:
        if cells and axis not in there:
            said = did_you_mean(axis, there) or f"there are: {', '.join(sorted(there))}"
            raise UserError(f"no run has a parameter {axis}: {said}")


def _key(cell: Cell, axes: Sequence[str]) -> Key:
    return tuple(cell.params.get(axis, "") for axis in axes)


def _order(key: Key, axes: Sequence[str]) -> tuple:
    known = {"algo": conventions.method_order, "model": conventions.model_order}
    return tuple(known.get(axis, _number_first)(text) for axis, text in zip(axes, key, strict=True))


def _number_first(text: str) -> tuple[int, float, str]:
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)


def _ambiguous(cells: Sequence[Cell], axes: Sequence[str]) -> str:
    """Which parameters tell the cells apart, and how to choose."""
    names = sorted({name for cell in cells for name in cell.params} - set(axes))
    differ = [name for name in names if len({cell.params.get(name) for cell in cells}) > 1]
    if not differ:
        return (
            f"{len(cells)} cells of the study are {cells[0].short_name} and differ in settings that are not among "
            "their parameters: put them into studies of their own"
        )
    name = differ[0]
    values = sorted({cell.params.get(name, "none") for cell in cells})
    return (
        f"{len(cells)} cells of the study are {cells[0].short_name}; they differ in {name} ({', '.join(values)}): "
        f"choose with --where {name}={values[0]}, or give it an axis: --rows algo,{name}"
    )


def label(key: Key, axes: Sequence[str], rollouts: int | None = None) -> str:
    """Return the words of a row: a method's name, and other axes as ``name=value``."""
    out = []
    for axis, text in zip(axes, key, strict=True):
        if axis == "algo":
            out.append(conventions.method(text))
        elif axis == "model":
            out.append(conventions.model_title(text))
        elif axis == "tau":
            out.append(conventions.tau_label(float(text), rollouts) if text else "")
        else:
            out.append(f"{axis}={text}" if text else f"no {axis}")
    return " ".join(word for word in out if word) or "no tau"
