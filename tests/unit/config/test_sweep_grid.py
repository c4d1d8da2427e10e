"""Words of a sweep to words of its cells."""

from __future__ import annotations

from itertools import product

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.config.sweep_grid import make_cells, make_grid
from gapo_lab.errors import UserError

VALUES = st.lists(st.sampled_from(["1", "0.5", "a", "null", "[1,2]", "'x y'"]), min_size=1, max_size=3, unique=True)


@given(st.dictionaries(st.sampled_from(["a", "b.c", "+d"]), VALUES, min_size=1))
def test_cells_are_hydras_own(axes):
    words = [f"{key}={','.join(values)}" for key, values in axes.items()] + ["seed=range(2)"]
    parsed = OverridesParser.create().parse_overrides(words)
    (theirs,) = BasicSweeper.split_arguments(parsed, None)
    assert [list(cell) for cell in make_grid(words).cells()] == theirs


def test_seeds_are_five_trials_unless_they_are_given():
    assert make_grid(["tau=0.1,0.5"]).cells() == list(product(["tau=0.1", "tau=0.5"], [f"seed={n}" for n in range(5)]))
    assert make_grid(["seed=3"]).cells() == [("seed=3",)]
    assert len(make_grid([], {"seed": "1,2"})) == 2


def test_the_command_line_takes_the_place_of_a_sweep_files_axis():
    params, instead = {"model": "a,b,c", "algo": "x,y"}, {"scale=nano": {"model": "nano"}}
    assert len(make_grid(["seed=0"], params, instead)) == 6
    assert len(make_grid(["model=b", "seed=0"], params, instead)) == 2
    cells = make_grid(["scale=nano", "seed=0"], params, instead).cells()
    assert cells == [("model=nano", f"algo={a}", "scale=nano", "seed=0") for a in "xy"]


def test_further_grids_share_what_they_do_not_say():
    params, also = {"model": "a,b", "algo": "x"}, {"more": {"model": "a", "noise": "1,2"}}
    wanted = [
        ("model=a", "algo=x"),
        ("model=b", "algo=x"),
        ("model=a", "algo=x", "noise=1"),
        ("model=a", "algo=x", "noise=2"),
    ]
    assert make_cells(["seed=0"], params, None, also) == [(*cell, "seed=0") for cell in wanted]
    assert ("model=b", "algo=x", "noise=1", "seed=0") in make_cells(["model=b", "seed=0"], params, None, also)
    assert make_cells(["seed=0"], params) == make_grid(["seed=0"], params).cells()
    with pytest.raises(UserError, match="more than 20,000"):
        make_cells(["seed=range(9000)"], params, None, also)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seed=range(0)"], "nothing to run"),
        (["seed=range(1000000)"], "more than 20,000"),
        (["a=range(1000)", "b=range(1000)"], "1000 a x 1000 b x 5 seed is 5,000,000 runs"),
        (["tau="], "no value"),
        (["tau"], "KEY=VALUE"),
        (["tau=[1,2"], "tau=[1,2: not a valid override"),
        (["tau=interval(0,1)"], "a grid needs values"),
        (["tau=choice()"], "empty choice"),
    ],
)
def test_a_wrong_grid_gets_one_line(words, says):
    with pytest.raises(UserError, match=".*") as caught:
        make_grid(words)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_word_of_the_command_line_goes_round_as_slowly_as_the_axis_it_stands_in_for():
    params, also = {"seed": "range(5)", "algo": "x,y"}, {"more": {"noise": "1"}}
    made = make_cells(["seed=3,1", "tau=0.5"], params, None, also)
    seeds, methods = [cell[0] for cell in made], [cell[1] for cell in made]
    assert seeds == ["seed=3"] * 4 + ["seed=1"] * 4
    assert methods == ["algo=x", "algo=y"] * 4 and all("tau=0.5" in cell for cell in made)
    assert ["noise=1" in cell for cell in made] == [False, False, True, True] * 2


def test_a_sweep_is_of_one_study():
    with pytest.raises(UserError, match="study=x study=y: a sweep is of one study. Take study=x"):
        make_grid(["study=x,y", "seed=0"])
