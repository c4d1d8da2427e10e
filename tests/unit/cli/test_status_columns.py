"""A long table of runs repeats the names of its columns."""

from __future__ import annotations

import io
import itertools

from rich.console import Console

from gapo_lab.cli import status_rows, status_table
from gapo_lab.cli.status_rows import Row, Table
from gapo_lab.runs import trial_record
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import RunStatus, State


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


def test_a_run_of_a_search_has_its_trial_and_its_objective(tmp_path):
    aim = "final/dev/em_expected"
    trial_record.add(tmp_path, "s", [aim], 2, {"a1": ()})
    trial_record.add(tmp_path, "s", [aim], 2, {"a1": [0.25], "a2": [0.75]})
    trial_record.add(tmp_path, "s", [aim], 10, {"a1": (), "b1": ()})
    for key, seed, tau in (("a1", 0, 0.1), ("a2", 1, 0.1), ("b1", 0, 0.2)):
        spec = {"study": "s", "model": "nano", "algo": "gapo_grpo", "tau": tau, "seed": seed, "science": {"tau": tau}}
        RunFolder.open(tmp_path, key, {"key": key, **spec})
    folders = [RunFolder(tmp_path / key) for key in ("a1", "a2", "b1")]
    states = {"a1": RunStatus(State.FINISHED), "a2": RunStatus(State.FINISHED), "b1": RunStatus(State.RUNNING)}
    file = io.StringIO()
    status_table.show(status_rows.read(folders, states, now=0.0), Console(file=file, width=120))
    head, first, a1, a2, second, b1, *_ = file.getvalue().splitlines()
    assert head.split()[:6] == ["key", "trial", "seed", "state", "step", aim]
    assert first.endswith(f"trial 2, 10: 2 of 2 finished, mean {aim} 0.5")
    assert a1.split()[:6] == ["a1", "2,", "10", "0", "finished", "0/?"] and a1.split()[6] == "0.25"
    assert a2.split()[1] == "2" and a2.split()[5] == "0.75"
    assert second.endswith("trial 10: 0 of 1 finished") and b1.split()[:2] == ["b1", "10"]


def test_a_study_that_is_no_search_has_no_such_columns():
    assert not any("trial" in line for line in printed(2, 2))
