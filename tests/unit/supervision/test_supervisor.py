"""What a supervisor writes down when a job has ended."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from gapo_lab.runs.folder import RunFolder
from gapo_lab.supervision.supervisor import Supervisor

SPEC = {"study": "s", "model": "nano", "algo": "grpo", "seed": 0, "science": {}}


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
