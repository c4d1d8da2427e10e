"""Searches over simulated runs, whose best tau is known: tests/support/simulated_runs.py."""

from __future__ import annotations

import io
import os
import random
import re
import shlex
import signal
import time
import traceback
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from rich.console import Console
from simulated_runs import BEST, STEPS, SimulatedRuns, search_of, searched

from gapo_lab.config.sweep_grid import make_cells
from gapo_lab.errors import RunFailed, UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import find
from gapo_lab.search import storage
from gapo_lab.training.rehearsal import curve

pytestmark = pytest.mark.slow  # whole searches over simulated runs


def study_of(root: Path, *words: str) -> optuna.Study:
    return storage.open_study(replace(search_of(*words), root=root))


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
    _, runs, found, out = thirty
    best = found.candidates[0]
    tau = float(best.words[-1].removeprefix("tau="))
    assert abs(tau - BEST) < 0.03 and best.seeds == 5 and len(found.candidates) == 3
    assert found.line.startswith("python -m gapo_lab.run -m data=micro model=nano algo=gapo_grpo scale=rehearsal")
    assert found.line.endswith(f"tau={tau:g} study=tau_search_check 'seed=range(100,110)'") and found.line in out
    assert f"best: trial {best.trial}, tau={tau:g}\n" in out
    states = found.states
    assert states["complete"] + states["pruned"] == 30 and states["pruned"] >= 5 and found.saved > 0.15
    assert len(runs.started) == len(set(runs.started)) == 30 + 3 * 4  # a finalist's first seed was there


def test_a_pruned_run_says_so_and_keeps_what_it_measured(thirty):
    root, runs, _, out = thirty
    for key, cause in runs.ended.items():
        folder = RunFolder(root / key)
        step = int(cause.removeprefix("pruned at step "))
        assert folder.status().message == cause and list(folder.merged_metrics()) == list(range(1, step + 1))
    assert out.count("pruned at step") == len(runs.ended)


@pytest.mark.slow
def test_trials_are_runs_like_any_others(thirty):
    """Their words give the same key without the search; a second search of the same trials starts nothing."""
    from gapo_lab.planning import plan

    root, _, found, _ = thirty
    words = [word for word in shlex.split(found.line)[4:] if not word.startswith("seed=")]
    (alone,) = plan.draft([[*words, "seed=0"]])
    assert RunFolder(root / alone.spec.key).is_finished
    checked = make_cells(shlex.split(found.line)[4:])
    assert not any(RunFolder(root / run.spec.key).path.exists() for run in plan.draft(checked)) and len(checked) == 10
    again = SimulatedRuns(root)
    searched(root, "study=again", "search/pruner=none", "search.trials=10", "search.finalists=0", runs=again)
    assert again.started == []
    before, after = said(root)[:10], said(root, "study=again", "search/pruner=none")
    assert [t[2:4] for t in before] == [t[2:4] for t in after]


def test_a_line_of_a_trial_names_what_is_searched_and_the_rest_stands_once(thirty):
    _, _, _, out = thirty
    assert out.count("all trials: nano gapo_grpo scale=rehearsal\n") == 1 and out.count("gapo_grpo") == 2
    assert re.search(r"^\d\d:\d\d:\d\d trial 0  tau=0\.\d+  starts \(\w{10}\)$", out, flags=re.MULTILINE)


def test_larger_trials_goes_on_and_another_question_is_refused(thirty):
    root, *_ = thirty
    more = searched(root, "search.trials=32", "cluster.max_parallel=1", "search/sampler=random")
    assert more.states["complete"] + more.states["pruned"] == 32
    with pytest.raises(
        UserError, match="holds trials with objectives=maximize final/dev/em_expected.*Choose another study"
    ):
        searched(root, "search.maximize=final/id/em")
    with pytest.raises(UserError, match="holds trials with words"):
        searched(root, "rehearsal.steps=7")


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path, pruner):
    words = (
        "search.trials=11",
        "search.finalists=2",
        f"search/pruner={pruner}",
        "search.sampler.n_startup_trials=5",
        f"trainer.total_training_steps={STEPS}",
    )
    searched(tmp_path / "calm", *words)
    pick, kills = random.Random(7), 0
    while not _killed_or_done(tmp_path / "hunted", words, pick.uniform(0, 0.3) * 1.1**kills):
        kills += 1
    assert kills >= 5
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
        except BaseException:  # noqa: BLE001 - nothing may escape from a forked test
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


@pytest.mark.slow
def test_no_more_trials_than_slots_and_a_free_slot_is_filled_at_once(tmp_path):
    runs = SimulatedRuns(tmp_path)
    words = ("search.parallel=3", "cluster.max_parallel=8", "search.seeds=2", "search.finalists=0")
    found = searched(tmp_path, *words, "search.trials=12", "search/pruner=none", runs=runs)
    assert runs.most_active == 6 and found.states == {"complete": 12}
    # with a run in each slot that needs as long as all others, a slot never waits for its neighbours
    assert runs.ticks <= 12 / 3 * STEPS + 6
    assert found.candidates[0].seeds == 2
    capped = SimulatedRuns(tmp_path / "capped")
    searched(tmp_path / "capped", *words, "search.trials=4", "cluster.max_parallel=4", runs=capped)
    assert capped.most_active == 4


def test_a_value_is_the_mean_over_the_seeds(tmp_path):
    searched(tmp_path, "search.seeds=3", "search.trials=2", "search.finalists=0", "seed=5")
    for trial in study_of(tmp_path, "search.seeds=3", "search.trials=2", "search.finalists=0", "seed=5").get_trials():
        tau = float(f"{trial.params['tau']:.4g}")
        last = [curve(seed, STEPS, tau, BEST)["val/dev/em_expected"] for seed in (5, 6, 7)]
        assert trial.value == pytest.approx(sum(last) / 3)


def test_a_method_without_tau_has_none(tmp_path):
    words = ("algo=grpo,gapo_grpo", "search.trials=16", "search/pruner=none", "search.finalists=2")
    found = searched(tmp_path, *words)
    trials = study_of(tmp_path, *words).get_trials()
    by_algo = {algo: [set(t.params) for t in trials if t.params["algo"] == algo] for algo in ("grpo", "gapo_grpo")}
    assert {frozenset(params) for params in by_algo["grpo"]} == {frozenset({"algo"})}
    assert {frozenset(params) for params in by_algo["gapo_grpo"]} == {frozenset({"algo", "tau"})}
    assert len({tuple(t.user_attrs["keys"]) for t in trials if t.params["algo"] == "grpo"}) == 1
    assert "algo=gapo_grpo" in found.line


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes", "random", "grid", "nsga2"])
def test_every_sampler_searches_and_repeats_itself(tmp_path, name):
    words = [f"search/sampler={name}", "search.trials=8", "search.finalists=0", "search/pruner=none"]
    words += (
        ["tau=range(0.1,1.0,0.2)"]
        if name == "grid"
        else ["'actor_rollout_ref.actor.optim.lr=tag(log,interval(1e-5,1e-3))'".strip("'")]
    )
    words += ["search.sampler.n_startup_trials=3"] if name in ("tpe", "gp", "cmaes") else []
    for folder in ("one", "two"):
        searched(tmp_path / folder, *words)
    first, second = said(tmp_path / "one", *words), said(tmp_path / "two", *words)
    assert first == second and len(first) == (5 if name == "grid" else 8)
    assert len({t[3]["tau"] for t in first}) == len(first)


def test_several_objectives_give_a_front(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("search.minimize=[final/actor/pg_clipfrac]", "search.trials=14", "search.finalists=0")
    out = io.StringIO()
    found = searched(tmp_path, *words, console=Console(file=out, width=120), report=True)
    assert "nothing is pruned" in out.getvalue() and "Pareto front" in out.getvalue()
    assert (tmp_path / "reports/tau_search/search/pareto.png").exists()
    assert found.states == {"complete": 14} and found.objectives == ("final/dev/em_expected", "final/actor/pg_clipfrac")
    points = [tuple(t.values) for t in study_of(tmp_path, *words).get_trials()]
    beaten = [p for p in points if any(q[0] >= p[0] and q[1] <= p[1] and q != p for q in points)]
    assert sorted(one.values for one in found.candidates) == sorted(set(points) - set(beaten))


def test_a_failed_trial_does_not_end_the_search_and_is_repeated_by_the_next(tmp_path):
    words = ("search.trials=6", "search.finalists=0", "search/pruner=none")
    breaks = SimulatedRuns(tmp_path, breaks=lambda spec: spec.tau > 0.9)
    found = searched(tmp_path, *words, runs=breaks)
    assert found.states == {"complete": 6, "fail": 1}
    again = searched(tmp_path, *words[1:], "search.trials=8")
    assert again.states == {"complete": 8, "fail": 1}
    trials = study_of(tmp_path, *words).get_trials()
    (failed,) = [t for t in trials if t.state.name == "FAIL"]
    assert "out of memory" in failed.user_attrs["why"]
    assert [t.params for t in trials if t.user_attrs.get("repeats") == failed.number] == [failed.params]


def test_failures_in_a_row_end_it_with_the_reason(tmp_path):
    with pytest.raises(RunFailed, match="3 trials in a row failed, the last with: run .*: out of memory"):
        searched(tmp_path, runs=SimulatedRuns(tmp_path, breaks=lambda spec: True))


def test_two_at_once_are_refused(tmp_path):
    search = replace(search_of(), root=tmp_path)
    with storage.alone(search), pytest.raises(UserError, match="is being searched by pid"):
        searched(tmp_path)


@pytest.mark.parametrize("rest", ["", '{"op_code":5,"worker'])
def test_a_journal_that_was_left_behind_is_mended(tmp_path, rest):
    searched(tmp_path, "search.trials=2", "search.finalists=0")
    path = tmp_path / ".searches" / "tau_search" / "journal.log"
    with open(path, "a") as file:
        file.write(rest)
    (path.parent / "journal.log.lock").symlink_to(path)
    before = time.monotonic()
    found = searched(tmp_path, "search.trials=3", "search.finalists=0")
    assert found.states["complete"] == 3 and time.monotonic() - before < 25


@pytest.mark.slow
def test_a_database_by_url(tmp_path):
    words = (f"search.storage=sqlite:///{tmp_path}/trials.db", "search.trials=3", "search.finalists=0")
    assert searched(tmp_path, *words).states == {"complete": 3}
    assert searched(tmp_path, *words, "search/pruner=percentile").states == {"complete": 3}
    assert (tmp_path / "trials.db").exists() and not (tmp_path / ".searches/tau_search/journal.log").exists()
