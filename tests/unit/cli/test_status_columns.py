"""A long table of runs repeats the names of its columns."""

from __future__ import annotations

import io
import itertools

from rich.console import Console

from gapo_lab.cli import status_table
from gapo_lab.cli.status_table import Row, Table
from gapo_lab.runs.status import State


def printed(cells: int, seeds: int) -> list[str]:
    rows = [
        Row(f"{cell:05}{seed:05}", "s", f"cell {cell}", seed, State.FINISHED, seen=226.0)
        for cell in range(cells)
        for seed in range(seeds)
    ]
    file = io.StringIO()
    status_table.show(Table(tuple(rows), {"s": ()}), Console(file=file, width=120))
    return file.getvalue().splitlines()


def test_the_names_of_the_columns_are_repeated_every_screen():
    assert sum(line.startswith("key ") for line in printed(2, 5)) == 1
    lines = printed(30, 5)
    heads = [place for place, line in enumerate(lines) if line.startswith("key ")]
    assert len(heads) > 3 and all(two - one < 2 * status_table.SCREEN for one, two in itertools.pairwise(heads))


def test_how_long_ago_has_its_unit():
    assert any(line.endswith("3 min ago") for line in printed(1, 1))
