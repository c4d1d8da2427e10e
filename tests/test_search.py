"""Searches over simulated runs, whose best tau is known: tests/simulated_runs.py."""

from __future__ import annotations

import io
import os
import random
import signal
import time
import traceback
from pathlib import Path

import optuna
import pytest
from rich.console import Console
from simulated_runs import BEST, STEPS, SimulatedRuns, searched

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.run_folder import RunFolder, find
from gapo_lab.search import storage
from gapo_lab.search.settings import make_search


def study_of(root: Path, *words: str) -> optuna.Study:
    return storage.open_study(make_search(["+sweep=tau_search", "scale=rehearsal", f"run_root={root}", *words]))


def said(root: Path, *words: str) -> list[tuple]:
    """All that a study holds of its trials, but for times."""
    return [
        (t.number, t.state.name, t.values, t.params, t.intermediate_values, t.user_attrs.get("keys"))
        for t in study_of(root, *words).get_trials()
    ]


@pytest.fixture(scope="module")
def thirty(tmp_path_factory):
    """An undisturbed search of thirty trials, one at a time; with what it printed."""
    root, out = tmp_path_factory.mktemp("thirty"), io.StringIO()
    runs = SimulatedRuns(root)
    found = searched(root, runs=runs, console=Console(file=out, width=120))
    return root, runs, found, out.getvalue()


def test_the_best_tau_is_found_and_bad_trials_are_stopped(thirty):
    root, runs, found, out = thirty
    best = found.candidates[0]
    tau = float(best.words[-1].removeprefix("tau="))
    assert abs(tau - BEST) < 0.03 and best.seeds == 5 and len(found.candidates) == 3
    assert found.line.startswith("python -m gapo_lab.run model=nano algo=gapo_grpo scale=rehearsal")
    assert found.line.endswith(f"tau={tau:g}") and found.line in out
    states = found.states
    assert states["complete"] + states["pruned"] == 30 and states["pruned"] >= 5 and found.saved > 0.15
    assert len(runs.started) == len(set(runs.started)) == 30 + 3 * 4  # a finalist's first seed was there


def test_a_pruned_run_says_so_and_keeps_what_it_measured(thirty):
    root, runs, _, out = thirty
    for key, cause in runs.ended.items():
        folder = RunFolder(root / key)
        step = int(cause.removeprefix("pruned at step "))
        assert folder.status()["message"] == cause and list(folder.merged_metrics()) == list(range(1, step + 1))
    assert out.count("pruned at step") == len(runs.ended)


def test_trials_are_runs_like_any_others(thirty):
    """Their words give the same key without the search; a second search of the same trials starts nothing."""
    from gapo_lab import plan

    root, runs, found, _ = thirty
    (alone,) = plan.draft([[*found.line.split()[3:], "seed=0"]])
    assert RunFolder(root / alone.spec.key).is_finished
    again = SimulatedRuns(root)
    searched(root, "study=again", "search/pruner=none", "search.trials=10", "search.finalists=0", runs=again)
    assert again.started == []
    before, after = said(root)[:10], said(root, "study=again", "search/pruner=none")
    assert [t[2:4] for t in before] == [t[2:4] for t in after]


def test_larger_trials_goes_on_and_another_question_is_refused(thirty):
    root, runs, found, _ = thirty
    more = searched(root, "search.trials=32")
    assert more.states["complete"] + more.states["pruned"] == 32
    with pytest.raises(UserError, match="holds trials with objectives=maximize best/id/em.*choose another study"):
        searched(root, "search.maximize=final/id/em")
    with pytest.raises(UserError, match="holds trials with words"):
        searched(root, "rehearsal.steps=7")


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path, pruner):
    words = ("search.trials=14", "search.finalists=2", f"search/pruner={pruner}",
             "search.sampler.n_startup_trials=5", f"trainer.total_training_steps={STEPS}")  # fmt: skip
    searched(tmp_path / "calm", *words)
    pick, kills = random.Random(7), 0
    while not _killed_or_done(tmp_path / "hunted", words, pick.uniform(0, 0.25)):
        kills += 1
        assert kills < 100
    assert kills >= 3
    assert said(tmp_path / "hunted", *words) == said(tmp_path / "calm", *words)
    assert left(tmp_path / "hunted") == left(tmp_path / "calm")


def left(root: Path) -> list[tuple]:
    return [(folder.key, sorted(folder.merged_metrics()), folder.is_finished) for folder in find(root)]


def _killed_or_done(root: Path, words, seconds: float) -> bool:
    """The search in a process of its own, killed so long after it has begun; whether it was quicker."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            searched(root, *words, console=Console(file=os.fdopen(writing, "w", buffering=1)))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    os.read(reading, 1)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if (done := os.waitpid(child, os.WNOHANG))[0]:
                assert done[1] == 0
                return True
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False
    finally:
        os.close(reading)
