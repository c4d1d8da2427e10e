"""What a supervisor writes down when a job has ended."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from gapo_lab.runs.folder import RunFolder
from gapo_lab.supervision.supervisor import Supervisor

SPEC = {"study": "s", "model": "nano", "algo": "grpo", "seed": 0, "science": {}}


def test_of_a_job_that_was_killed_the_last_lines_of_its_log_say_nothing(tmp_path):
    folder = RunFolder.open(tmp_path, "k", SPEC)
    attempt = folder.start_attempt()
    folder.write_status(step=7)
    attempt.log_path.write_text("INFO: saved\ntarget_num_threads 8 should not exceed 2\n")
    supervisor = Supervisor(folder, Console(quiet=True), tmp_path)
    supervisor._began, supervisor._before = time.monotonic(), 0.0
    supervisor._write_failure(attempt, -9)
    assert folder.status().message == "the job was killed by signal 9 (SIGKILL) after step 7"
    attempt = folder.start_attempt()
    attempt.log_path.write_text("INFO: saved\nslurmstepd: oom_kill event\n")
    supervisor._write_failure(attempt, -9)
    assert "oom_kill event" in folder.status().message


@pytest.mark.parametrize(("step", "idle"), [(0, 100), (1, 0)])
def test_the_time_of_an_attempt_without_a_step_is_known(tmp_path, step, idle):
    folder = RunFolder.open(tmp_path, "k", SPEC)
    attempt = folder.start_attempt()
    folder.write_status(started=time.time() - 100, step=step)
    attempt.log_path.write_text("ValueError: no\n")
    supervisor = Supervisor(folder, Console(quiet=True), tmp_path)
    supervisor._began, supervisor._before = time.monotonic() - 100, 0.0
    supervisor._write_failure(attempt, 1)
    status = folder.status()
    assert status.state == "failed" and round(status.wall_seconds, -1) == 100
    assert round(status.idle_seconds, -1) == idle
    folder.queue()
    folder.start_attempt()
    assert folder.status().idle_seconds == status.idle_seconds
