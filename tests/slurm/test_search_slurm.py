"""A search on the one-machine SLURM cluster: slots, pruning by scancel, a sweeper that is killed."""

from __future__ import annotations

import time

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from slurm_lab import SlurmLab

from gapo_lab.runs.run_root import find
from gapo_lab.training.rehearsal import curve

pytestmark = pytest.mark.usefixtures("cluster")


def test_a_search_on_slurm_prunes_and_survives_its_sweeper(tmp_path):
    lab = SlurmLab(tmp_path)
    words = (
        "+sweep=tau_search",
        "rehearsal.best_tau=0.4",
        "rehearsal.steps=8",
        "rehearsal.seconds=0.7",
        "search.trials=6",
        "search.parallel=2",
        "search.pruner.n_startup_trials=2",
        "search.every=0.5",
        "tau=choice(0.3,0.35,0.4,0.45,0.9,1.0)",
        "search/sampler=grid",
        "search.sampler.seed=22",
        "search.finalists=1",
        "search.final_seeds=2",
    )
    first = lab.start_sweep(*words)
    try:
        end = time.monotonic() + 180
        while sum(bool(f.merged_metrics()) for f in find(lab.root)) < 2:
            assert time.monotonic() < end and first.poll() is None, first.communicate()
            time.sleep(0.2)
    finally:
        first.kill()
        first.communicate()
    done = lab.sweep(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 6 trials done, 2 under way" in done.stdout
    path = lab.root / ".searches" / "tau_search" / "journal.log"
    study = optuna.load_study(study_name="tau_search", storage=JournalStorage(JournalFileBackend(str(path))))
    trials = study.trials
    assert len(trials) == 6 and {t.state.name for t in trials} == {"COMPLETE", "PRUNED"}
    found = lab.states("tau_search")
    for trial in trials:
        (key,) = trial.user_attrs["keys"]
        (folder,) = [f for f in find(lab.root) if f.key == key]
        measured = folder.merged_metrics()
        assert measured == {step: curve(0, step, folder.spec["tau"], 0.4) for step in measured}
        assert len(folder.attempts()) == 1 and found[key].job
        if trial.state.name == "PRUNED":
            assert found[key].message == f"pruned at step {trial.last_step}" and len(measured) < 8
        else:
            assert len(measured) == 8
    assert len(find(lab.root)) == 6 + 1  # the finalist's second seed
    assert not lab.slurm("squeue", "--noheader").strip()
