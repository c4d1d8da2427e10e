"""What is said where a step was chosen for each run, and that step is before training. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.results.measurements import Trials
from analysis.tables.pivot import Key, label
from gapo_lab.utils.text import several

if TYPE_CHECKING:
    from analysis.tables.paper import Results

PICKED = "step 0, before training, was picked in"
ADVICE = "Train longer, or use --pick final"
LISTED = 10  # steps, one a run; of more runs the first and the last


def note(one: Trials) -> str:
    """Return the footnote of a cell; "" if every number of it is a trained model's."""
    return f"{PICKED} {one.untrained} of {several(len(one.values), 'run')}. {ADVICE}" if one.untrained else ""


def caution(results: Results) -> str:
    """Return `Step 0, before training, was picked in 5 of 6 runs (...): ...`; "" if all numbers are trained models'."""
    grid = results.grid
    places = [(row, column) for row in grid.rows for column in grid.columns if (row, column) in grid.at]
    shown = {place: results.measured.by_cell[grid.at[place].id] for place in places}
    found = {place: one for place, one in shown.items() if one.untrained}
    if not found:
        return ""
    number, runs = sum(one.untrained for one in found.values()), sum(len(one.values) for one in shown.values())
    cells = ", ".join(f"{_name(results, *place)} {one.untrained} of {len(one.values)}" for place, one in found.items())
    theirs = "these runs count with the untrained model's value"
    what = "these rows compare untrained models" if 2 * number > runs else theirs
    return f"{PICKED} {number} of {several(runs, 'run')} ({cells}): {what}. {ADVICE}"


def _name(results: Results, row: Key, column: Key) -> str:
    grid = results.grid
    return label(row, grid.row_axes) + (f" on {label(column, grid.column_axes)}" if len(grid.columns) > 1 else "")


def steps(one: Trials) -> str:
    """Return the chosen steps, one a run in the order of seeds: `0, 0, 40`; of many runs `0 to 40`."""
    found = [step for _, step in sorted(one.steps.items())]
    if len(set(found)) > 1 and len(found) > LISTED:
        return f"{min(found)} to {max(found)}"
    return ", ".join(map(str, found if len(set(found)) > 1 else found[:1]))
