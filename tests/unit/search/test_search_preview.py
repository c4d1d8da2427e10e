"""The plan of a search: what is done already is not counted again."""

from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
from simulated_runs import conditions_of, search_of

from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.search import preview, result, storage

WORDS = ("search.trials=4", "search.finalists=1", "search.final_seeds=2")


@pytest.fixture
def search(tmp_path):
    """Of four trials, one at a time, the best with two seeds."""
    return replace(search_of(*WORDS), root=tmp_path)


def finish(search, *taus: float) -> optuna.Study:
    """Trials of these taus that are done; the larger the better."""
    with storage.alone(search):
        study = storage.open_study(search)
        (axis,) = search.space.axes
        for tau in taus:
            trial = optuna.trial.create_trial(params={"tau": tau}, distributions={"tau": axis.distribution}, value=tau)
            study.add_trial(trial)
    return storage.look(search)


def test_a_search_that_has_not_begun_has_all_of_its_runs(search):
    assert storage.look(search) is None
    text = preview.cost(search, conditions_of(search.space), None)
    assert text.startswith("at most 5 runs of ") and ", 1 at a time: " in text and " in all" in text
    assert not list(search.root.iterdir())


def test_trials_that_are_done_are_not_counted_again(search):
    text = preview.cost(search, conditions_of(search.space), finish(search, 0.3))
    assert text.startswith("1 of 4 trials done; at most 4 more runs of ")


def test_when_all_trials_are_done_the_finals_are_left_and_then_nothing(search):
    study = finish(search, 0.3, 0.4, 0.5, 0.6)
    conditions = conditions_of(search.space)
    finals = result.final_runs(search, result.good(search, study), conditions)
    for run, says in zip(finals, ("at most 2 more runs of", "at most 1 more run of"), strict=True):
        assert preview.cost(search, conditions, study).startswith(f"4 of 4 trials done; {says}")
        RunFolder.open(search.root, run.key, run.valid_spec.as_dict()).write_summary({"final/step": 1})
    assert preview.cost(search, conditions, study) == "4 of 4 trials done; nothing is left to run"


def test_the_plan_refuses_what_the_search_would_refuse(search):
    finish(search, 0.3)
    other = replace(search_of(*WORDS, "rehearsal.steps=7"), root=search.root)
    with pytest.raises(UserError, match="holds trials with words"):
        storage.look(other)
