"""status.json as a typed object: what is written is read again, also by another version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import Cause, RunStatus, State, resumptions
from gapo_lab.utils.processes import Process

# as version 0.1.0 wrote it
OLD = {
    "submission": None,
    "state": "interrupted",
    "attempt": 2,
    "pid": 4711,
    "pid_start": 206017,
    "host": "n1",
    "started": 1795754950.3,
    "updated": 1795754956.5,
    "step": 23,
    "total_steps": 60,
    "message": "pruned at step 20",
    "remedy": "python -m gapo_lab retry abc goes on with it from the last checkpoint",
    "cause": "pruned at step 20",
    "wall_seconds": 12.5,
    "from_the_future": [1],
}


def test_an_old_status_is_read():
    status = RunStatus.from_json(OLD)
    assert (status.state, status.cause, status.message) == (
        State.INTERRUPTED,
        Cause.PRUNED,
        "pruned at step 20",
    )
    assert status.process == Process(4711, 206017, "n1") and status.submission is None
    assert (status.attempt, status.step, status.total_steps, status.wall_seconds) == (2, 23, 60, 12.5)
    # it named no step
    again = "python -m gapo_lab retry abc resumes from step 20"
    there = status.changed(resumes_from=20).advice("abc", Path("/x"))
    assert there == again.replace("gapo_lab", "gapo_lab --root /x")
    assert status.remedy == "" and status.changed(resumes_from=20).advice("abc") == again


def test_what_is_written_is_read_again_and_what_is_not_known_is_kept():
    status = RunStatus.from_json(OLD)
    written = json.loads(json.dumps(status.to_json()))
    assert RunStatus.from_json(written) == status and written["from_the_future"] == [1]
    assert RunStatus.from_json({}) == RunStatus() and RunStatus().state is State.NEW


def test_a_status_that_is_none_is_named(tmp_path):
    folder = RunFolder.open(tmp_path, "k", {"model": "nano"})
    (folder.path / "status.json").write_text('{"state": "sleeping"}')
    with pytest.raises(UserError, match="status.json holds no status .*sleeping.*Move"):
        folder.status()
    with pytest.raises(TypeError, match="colour"):
        RunStatus().changed(colour="red")


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (RunStatus(State.RUNNING), ""),
        (RunStatus(State.INTERRUPTED), "the same command starts it"),
        (RunStatus(State.INTERRUPTED, attempt=1), "the same command starts anew (no checkpoint yet)"),
        (
            RunStatus(State.FAILED, remedy="fix it", attempt=1, resumes_from=7),
            "fix it; the same command resumes from step 7",
        ),
        (
            RunStatus(State.INTERRUPTED, cause=Cause.CANCELLED, attempt=1, resumes_from=7),
            "the same command, or python -m gapo_lab retry k, resumes from step 7",
        ),
    ],
)
def test_what_a_person_can_do(status, advice):
    assert status.advice("k") == advice


def test_what_the_same_command_does_for_many():
    stopped = RunStatus(State.INTERRUPTED, attempt=1)
    waited, over = RunStatus(State.INTERRUPTED), RunStatus(State.FINISHED, attempt=1)
    runs = [stopped.changed(resumes_from=12), stopped.changed(resumes_from=3), stopped, waited, waited, over]
    assert resumptions(runs) == (
        "resumes 2 runs from steps 3 to 12, starts 1 run anew (no checkpoint yet), starts 2 runs that waited"
    )
    assert resumptions([over]) == ""
