"""A run that version 0.1.0 prepared and left goes on: the same key, the same folder, its checkpoint."""

from __future__ import annotations

import json

from lab import REPO

from gapo_lab.config.fast_compose import Composer
from gapo_lab.launch import run_states
from gapo_lab.planning import plan
from gapo_lab.planning.plan import Action
from gapo_lab.runs.folder import RunFolder

SPEC = (REPO / "tests" / "support" / "spec_of_0.1.0.yaml").read_text()
STATUS = {"state": "interrupted", "attempt": 1, "pid": 4711, "pid_start": 206017, "host": "n1", "wall_seconds": 12.5}


def test_a_run_of_an_older_version_resumes(tmp_path):
    (drafted,) = plan.draft([("seed=0",)], Composer())
    folder = RunFolder(tmp_path / drafted.key)
    (folder.path / "attempts" / "1").mkdir(parents=True)
    (folder.path / "spec.yaml").write_text(SPEC)
    (folder.path / "status.json").write_text(json.dumps(STATUS))
    (folder.path / "provenance.json").write_text('{"host": "n1", "git": {"missing": "git is not installed"}}')
    (attempt,) = folder.attempts()
    for step in (19, 20, 21, 22, 23):
        attempt.append_metrics(step, {"train/reward": 0.5}, now=1795754950.0 + step)
    (folder.checkpoints / "global_step_20" / "actor").mkdir(parents=True)
    (folder.checkpoints / "latest_checkpointed_iteration.txt").write_text("20")
    (run,) = plan.make([drafted], lambda keys: run_states.read(tmp_path, keys)).runs
    assert (run.action, run.why) == (Action.RUN, "resumes from step 20")
    assert RunFolder.open(tmp_path, run.key, run.valid_spec.as_dict()).path == folder.path
    again = folder.start_attempt()
    assert (again.number, folder.status().resumes_from, folder.raw_status.wall_seconds) == (2, 20, 12.5)
    assert folder.provenance().machine.host == "n1"
