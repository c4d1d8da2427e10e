"""Searches whose runs are processes: rehearsals on this machine, and one of the nano model."""

from __future__ import annotations

import json
import signal

import optuna
import psutil
import pytest
from lab import ONE_WORKER, PATIENCE, TINY, Lab, wait_until
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from gapo_lab.runs.run_root import find
from gapo_lab.training.rehearsal import curve

WORDS = (
    "-m",
    "+sweep=tau_search",
    "scale=rehearsal",
    "rehearsal.best_tau=0.4",
    "rehearsal.steps=6",
    "search.every=0.1",
    "search.pruner.n_startup_trials=2",
    "search.sampler.n_startup_trials=3",
)


@pytest.fixture(autouse=True)
def ctrl_c_reaches_children():
    """A test run that was started in the background ignores Ctrl-C, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def study_of(lab: Lab, study: str = "tau_search") -> optuna.Study:
    path = lab.cwd / "runs" / ".searches" / study / "journal.log"
    return optuna.load_study(study_name=study, storage=JournalStorage(JournalFileBackend(str(path))))


def left_over(lab: Lab) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(lab.cwd) in " ".join(p.info["cmdline"] or [])]


def test_trials_are_pruned_the_sweeper_is_killed_and_goes_on(lab):
    """Killed with kill -9 while runs go on, then by Ctrl-C; nothing is lost, nothing is done twice."""
    slow = (
        *WORDS,
        "rehearsal.seconds=0.25",
        "search.trials=6",
        "search.finalists=1",
        "search.final_seeds=2",
        "cluster.max_parallel=2",
        "search.parallel=2",
    )
    first = lab.start(*slow, tiny=False)
    wait_until(lambda: sum(bool(f.merged_metrics()) for f in find(lab.cwd / "runs")) == 2, first)
    first.kill()
    first.communicate()
    second = lab.start(*slow, tiny=False)
    wait_until(lambda: len(study_of(lab).trials) >= 4, second)
    second.send_signal(signal.SIGINT)
    out, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 130 and "goes on with the same trials" in err, out + err
    assert "0 of 6 trials done, 2 under way" in out and not left_over(lab)
    last = lab.run(*slow, tiny=False)
    assert last.returncode == 0, last.stdout + last.stderr
    trials = study_of(lab).trials
    assert len(trials) == 6 and {t.state.name for t in trials} <= {"COMPLETE", "PRUNED"}
    assert [t.number for t in trials] == list(range(6))
    folders = {folder.key: folder for folder in find(lab.cwd / "runs")}
    assert len(folders) == 6 + 1  # the finalist's second seed
    for trial in trials:
        (key,) = trial.user_attrs["keys"]
        folder = folders[key]
        spec = folder.spec
        wanted = {n: curve(0, n, spec["tau"], 0.4) for n in range(1, 7)}
        measured = folder.merged_metrics()
        assert measured == {step: wanted[step] for step in measured}
        if trial.state.name == "PRUNED":
            assert folder.status().state == "interrupted" and not folder.is_finished
            assert folder.status().message == f"pruned at step {trial.last_step}"
            assert trial.value == measured[trial.last_step]["val/dev/em_expected"]
        else:
            assert list(measured) == list(range(1, 7))
            assert trial.value == measured[6]["val/dev/em_expected"]
    assert "best: trial " in last.stdout and "python -m gapo_lab.run -m " in last.stdout
    again = lab.run(*slow, tiny=False)
    assert again.returncode == 0 and "6 of 6 trials done" in again.stdout and " starts " not in again.stdout


def test_a_pruned_run_can_be_gone_on_with(lab):
    words = (
        *WORDS[:-1],
        "tau=choice(0.4,0.5,1.0)",
        "search/sampler=grid",
        "search.sampler.seed=3",  # the bad one last
        "rehearsal.seconds=0.3",
        "search.finalists=0",
    )
    done = lab.run(*words, tiny=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 trials: 2 complete, 1 pruned" in done.stdout and "of the steps saved" in done.stdout
    (pruned,) = [f for f in find(lab.cwd / "runs") if not f.is_finished]
    step = max(pruned.merged_metrics())
    assert step < 6 and pruned.spec["tau"] == 1.0
    assert "pruned at step" in lab.command("status").stdout
    alone = lab.command("retry", "tau_search").stdout
    assert "1 pruned run left alone" in alone and "nothing to retry" in alone
    again = lab.command("retry", pruned.key)
    assert again.returncode == 0, again.stdout + again.stderr
    assert pruned.is_finished and pruned.merged_metrics() == {n: curve(0, n, 1.0, 0.4) for n in range(1, 7)}
    assert pruned.attempts()[1].rows()[0].step in (step, step + 1)
    assert json.loads((lab.cwd / "runs/.searches/tau_search/result.json").read_text())["states"]["pruned"] == 1


def test_a_real_run_is_pruned_and_another_search_goes_on_with_it(live_lab):
    """The nano model: stopped after its first validations, then trained to its end by a search without pruning."""
    lab = live_lab
    words = (
        "-m",
        *TINY,
        ONE_WORKER,
        "+sweep=tau_search",
        "scale=nano",
        "search.trials=1",
        "search.finalists=0",
    )
    strict = (
        "study=strict",
        "search/pruner=none",
        "search.pruner._target_=optuna.pruners.ThresholdPruner",
        "+search.pruner.lower=2",
    )
    first = lab.run(*words, *strict, tiny=False)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "pruned at step 1, val/dev/em_expected" in first.stdout and "no trial was finished" in first.stdout
    folder = lab.folder(study_of(lab, "strict").trials[0].user_attrs["keys"][0])
    assert folder.status().message == "pruned at step 1" and "val/id/em" in folder.merged_metrics()[1]
    assert not folder.is_finished and not left_over(lab)
    second = lab.run(*words, "study=patient", "search/pruner=none", tiny=False)
    assert second.returncode == 0, second.stdout + second.stderr
    assert folder.is_finished and len(folder.attempts()) == 2 and max(folder.merged_metrics()) == 3
    (trial,) = study_of(lab, "patient").trials
    assert (
        trial.value == folder.summary()["final/dev/em_expected"]
        and trial.params == study_of(lab, "strict").trials[0].params
    )
    assert search_run(lab, "patient").data.tags["gapo.best"] in second.stdout


def search_run(lab: Lab, study: str):
    """The study's search run in MLflow; its pictures are among its artifacts."""
    from gapo_lab.tracking import mlflow_client

    client = mlflow_client.connect(f"sqlite:///{lab.cwd}/mlflow.db")
    experiment = client.get_experiment_by_name(study).experiment_id
    (run,) = client.search_runs([experiment], "tags.`gapo.is_report` = 'search'")
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"history.png", "slice.pdf", "trials.csv", "result.json"} <= files
    return run
