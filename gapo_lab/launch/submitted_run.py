"""Runs one run of a submission where it was sent: a SLURM task, a local process, or the terminal of a single run.

`python -m gapo_lab.launch.submitted_run SUBMISSION_FILE TASK` locally; in a SLURM job it is a `slurm_task.SlurmTask`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from gapo_lab.errors import FAILED, INTERRUPTED, USER_ERROR, Interrupted, RunFailed, UserError
from gapo_lab.launch.submission import Submission
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import ACTIVE, State
from gapo_lab.supervision.supervisor import Supervisor
from gapo_lab.utils import atomic_files

# How long a run that is still held (a requeued job whose first life is being ended) is waited for.
PATIENCE_SECONDS = 90.0


def supervisor_of(
    submission: Submission, task: int, console: Console | None = None, is_warm: bool = False
) -> Supervisor:
    """Return the supervisor of task ``task``, which prints plain lines unless it is given a console."""
    folder = RunFolder(submission.root / submission.keys[task])
    return Supervisor(folder, console or Console(force_terminal=False, width=120), submission.code, is_warm)


def run(submission: Submission, task: int, supervisor: Supervisor, job: str | None = None) -> None:
    """Run task ``task`` to its end, with its supervisor; raises as `Supervisor.run`.

    job: the SLURM job that this is.
    """
    status: dict[str, Any] = {}
    if job:
        status = {"submission": submission.name, "task": task, "job": job, "submitted": submission.time}
    try:
        supervisor.run(patience=PATIENCE_SECONDS if job else 0.0, status=status, origin=submission.origin)
    finally:
        if submission.on_finish:
            tell(submission, submission.on_finish)


def tell(submission: Submission, command: str) -> None:
    """Call the user's command once, after the last run of the submission has ended."""
    with atomic_files.locked(submission.logs / "told.lock"):
        told = submission.logs / "told"
        states = [RunFolder(submission.root / key).status().state for key in submission.keys]
        if told.exists() or any(state in (State.NEW, *ACTIVE) for state in states):
            return
        told.touch()
    facts = {
        "GAPO_LAB_STUDY": submission.study,
        "GAPO_LAB_FINISHED": str(states.count(State.FINISHED)),
        "GAPO_LAB_FAILED": str(len(states) - states.count(State.FINISHED)),
    }
    done = subprocess.run(command, shell=True, env={**os.environ, **facts}, check=False)
    if done.returncode:
        print(f"on_finish: {command}: exit code {done.returncode}", flush=True)


def main(path: str, task: str) -> int:
    """Run one task; the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal ends nothing
    # the sweep passes a Ctrl-C on; a shell that put it into the background has made it deaf to that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    submission = Submission.read(Path(path))
    return _to_the_end(submission, int(task), supervisor_of(submission, int(task)))


def when_told(path: str, task: int, told: int) -> int:
    """As `main`, in a fork that has imported all: get ready, and begin when a byte comes from the pipe ``told``.

    Where it is closed without one, nothing has happened to the run.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    submission = Submission.read(Path(path))
    supervisor = supervisor_of(submission, task, is_warm=True)
    with supervisor.ahead():
        if not os.read(told, 1):
            return 0
        os.close(told)
        return _to_the_end(submission, task, supervisor)


def _to_the_end(submission: Submission, task: int, supervisor: Supervisor) -> int:
    try:
        run(submission, task, supervisor)
        return 0
    except (Interrupted, KeyboardInterrupt) as stop:
        print(stop, flush=True)
        return INTERRUPTED
    except (UserError, RunFailed) as error:
        print(error, flush=True)
        return USER_ERROR if isinstance(error, UserError) else FAILED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
