"""A study goes on with the space that Optuna takes, and refuses another one before it starts."""

from dataclasses import replace

import pytest
from simulated_runs import search_of

from gapo_lab.errors import UserError
from gapo_lab.search import storage
from gapo_lab.search.search_space import make_space


@pytest.fixture
def opened(tmp_path):
    """Open the study with a space of these words."""
    search = replace(search_of(), root=tmp_path)
    search.folder.mkdir(parents=True)

    def open_with(*words):
        space = replace(search.space, axes=make_space(words)[0].axes)
        study = storage.open_study(replace(search, space=space))
        trial = study.ask()
        for axis in space.axes:
            axis.suggest(trial)
        return study

    return open_with


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("algo=grpo,gapo_grpo", "algo=grpo,gapo_grpo,dapo", "holds trials with algo=grpo,gapo_grpo, and Optuna keeps"),
        ("algo=grpo,gapo_grpo", "algo=gapo_grpo,grpo", "not algo=gapo_grpo,grpo. Choose another study=NAME"),
        ("tau=interval(0.1,0.9)", "tau=0.1,0.9", "holds trials with tau a number"),
        ("tau=interval(0.1,0.9)", "tau=tag(log,interval(0.1,0.9))", "not tau a number by its logarithm"),
        ("seed2=range(2,9)", "seed2=interval(2.5,9)", "holds trials with seed2 a whole number"),
    ],
)
def test_another_space_is_refused_before_it_starts(opened, before, after, says):
    opened(before)
    with pytest.raises(UserError, match=says) as caught:
        opened(after)
    assert "\n" not in str(caught.value)
    assert len(opened(before).trials) == 2


def test_bounds_and_further_parameters_may_change(opened):
    opened("algo=grpo,gapo_grpo", "tau=interval(0.1,0.9)")
    assert len(opened("algo=grpo,gapo_grpo", "tau=interval(0.2,0.5)", "noise=interval(0,0.1)").trials) == 2
