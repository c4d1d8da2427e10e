"""What a search says of its trials: their values alone, how far they are, and the command that checks the best."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console
from simulated_runs import STEPS, SimulatedRuns, conditions_of, search_of

from gapo_lab.planning import plan
from gapo_lab.runs import trial_record
from gapo_lab.runs.folder import RunFolder
from gapo_lab.search import figures, names, report, result
from gapo_lab.search.live_trials import LiveTrials
from gapo_lab.search.runner import carry_out_search, introduction
from gapo_lab.search.trials import Live

LR = "actor_rollout_ref.actor.optim.lr"
SPAN = f"{LR}=tag(log,interval(1e-5,1e-3))"


def test_a_trial_is_named_by_what_is_searched():
    space = search_of("algo=grpo,gapo_grpo", SPAN).space
    params = {LR: 0.00024136, "algo": "gapo_grpo", "tau": 0.5}
    assert names.of_trial(space, params) == "algo=gapo_grpo tau=0.5 lr=2.414e-4"
    assert names.of_trial(space, {LR: 0.001, "algo": "grpo"}) == "algo=grpo lr=0.001"


def test_what_all_trials_share_stands_in_the_introduction():
    search = search_of(SPAN, "data.dev_size=24")
    shared = next(line for line in introduction(search, conditions_of(search.space)) if line.startswith("all trials:"))
    assert shared == "all trials: nano gapo_grpo scale=rehearsal dev_size=24"


@pytest.mark.parametrize(
    ("words", "seeds"), [((), (100, 110)), (("seed=95",), (110, 120)), (("seed=200",), (100, 110))]
)
def test_the_best_is_checked_with_seeds_that_the_search_has_not_used(words, seeds):
    search = search_of("search.final_seeds=15", *words)
    fresh = result.fresh_seeds(search)
    assert (fresh.start, fresh.stop) == seeds and not {*fresh} & {*search.seeds_of(15)}


def test_the_command_of_the_best_is_a_study_of_its_own():
    search = search_of()
    line = result.check_line(search, conditions_of(search.space), (*search.space.fixed, "tau=0.4"))
    assert shlex.split(line)[:4] == ["python", "-m", "gapo_lab.run", "-m"]
    assert line.endswith("tau=0.4 study=tau_search_check 'seed=range(100,110)'") and "+sweep" not in line


def test_a_terminal_shows_how_far_each_run_is(tmp_path):
    search = replace(search_of(), root=tmp_path)
    runs = tuple(plan.draft([(*search.space.fixed, "tau=0.4", f"seed={seed}") for seed in (0, 1)]))
    for seed, run in enumerate(runs):
        folder = RunFolder.open(tmp_path, run.key, run.valid_spec.as_dict())
        attempt = folder.start_attempt()
        folder.write_status(total_steps=9)
        for step in range(1, 3 + seed):
            attempt.append_metrics(step, {"train/reward": 0.25})
    live = Live(SimpleNamespace(number=7, params={"tau": 0.4}), (), runs)
    out = io.StringIO()
    table = LiveTrials(tmp_path, search.space, Console(file=out)).table([live])
    Console(file=out, width=120).print(table)
    first, second = out.getvalue().splitlines()
    assert first.startswith("trial 7  tau=0.4 seed=0") and "step 2/9 | reward 0.250" in first
    assert first.startswith("trial 7  tau=0.4 seed=0") and "seed=1" in second and "step 3/9" in second


def test_the_curves_name_the_best_trials():
    search = search_of()
    (axis,) = search.space.axes
    trials = [
        optuna.trial.create_trial(
            state=state,
            params={"tau": tau},
            distributions={"tau": axis.distribution},
            value=tau,
            intermediate_values={2: tau / 2, 4: tau},
        )
        for tau, state in [(0.1 * n, TrialState.COMPLETE) for n in range(1, 8)] + [(0.05, TrialState.PRUNED)]
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    (legend,) = figures.curves(search, trials).legends
    said = [text.get_text() for text in legend.get_texts()]
    best = [f"trial {number}: tau={0.1 * (number + 1):.2g}" for number in (6, 5, 4, 3, 2)]
    assert said == [*best, "others that finished", "pruned"]
    (legend,) = figures.curves(search, trials[:2]).legends
    assert len(legend.get_texts()) == 2


def test_the_table_of_trials_is_there_while_others_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search, told = replace(search_of("search.trials=3"), root=tmp_path / "runs"), []

    def keep(search, study):
        report.keep_trials(search, study)
        told.append((report.folder(search) / "trials.csv").read_text())

    quiet, runs = Console(quiet=True), SimulatedRuns(search.root)
    words = {"write": lambda *_: None, "keep": keep}
    carry_out_search(replace(search, finalists=0), conditions_of(search.space), runs, quiet, **words)
    assert [text.count("complete") for text in told] == [1, 2, 3]
    record = trial_record.read(search.root, search.study)
    assert record.objectives == ("final/dev/em_expected",)
    assert sorted(run.trials for run in record.runs.values()) == [[0], [1], [2]]
    for key, run in record.runs.items():
        last = RunFolder(search.root / key).merged_metrics()[STEPS]
        assert run.values == [last["val/dev/em_expected"]]


def test_a_run_that_needs_its_sweep_file_is_checked_by_a_run_of_that_file():
    """With -m the file would search again."""
    search = search_of()
    keys = iter(["full", "alone"])
    needs_file = SimpleNamespace(draft=lambda words: SimpleNamespace(spec=SimpleNamespace(key=next(keys))))
    words = result.check_line(search, needs_file, ("+sweep=mine", "study=old", "tau=0.4")).split()
    assert words == ["python", "-m", "gapo_lab.run", "+sweep=mine", "tau=0.4", "study=tau_search_check", "seed=100"]
