"""Runs one run of a submission where it was sent: a SLURM task, a local process, or the terminal of a single run.

`python -m gapo_lab.launch.worker SUBMISSION_FILE TASK` locally; submitit calls `Task` in a SLURM job.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from gapo_lab.errors import FAILED, INTERRUPTED, USER_ERROR, Interrupted, RunFailed, UserError
from gapo_lab.launch import outside_container
from gapo_lab.launch.submission import Submission
from gapo_lab.planning.resources import ENDING_SECONDS
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.status import ACTIVE, State, resumption
from gapo_lab.supervision.supervisor import Supervisor
from gapo_lab.utils import atomic_files
from gapo_lab.utils.processes import end_descendants

# How long a run that is still held (a requeued job whose first life is being ended) is waited for.
PATIENCE_SECONDS = 90.0


def supervisor_of(
    submission: Submission, task: int, console: Console | None = None, is_warm: bool = False
) -> Supervisor:
    """Return the supervisor of task ``task``, which prints plain lines unless it is given a console."""
    folder = RunFolder(submission.root / submission.keys[task])
    return Supervisor(folder, console or Console(force_terminal=False, width=120), submission.code, is_warm)


def work(submission: Submission, task: int, supervisor: Supervisor, job: str | None = None) -> None:
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


class Task:
    """What submitit calls in the job, and calls again after a requeue."""

    def __init__(self, path: str, task: int) -> None:
        self.path, self.task = path, task

    def __call__(self) -> None:
        from gapo_lab.launch import worker_nodes
        from gapo_lab.training.ray_cluster import MEETING

        submission = Submission.read(Path(self.path))
        if worker_nodes.rank() > 0:
            worker_nodes.help_rank_0(submission, self.task)
            return
        name_job(run_name(RunFolder(submission.root / submission.keys[self.task]).spec))
        os.environ[MEETING] = str(worker_nodes.meeting(submission))
        self.supervisor = supervisor_of(submission, self.task)
        work(submission, self.task, self.supervisor, job=job_number())

    def checkpoint(self) -> Any:
        """Save, stop and be requeued: submitit calls this on SLURM's warning of a time limit or a preemption."""
        from submitit.helpers import DelayedSubmission

        submission = Submission.read(Path(self.path))
        self.supervisor.save_and_stop(patience(submission.cluster.grace or 0))
        end_descendants()
        outside_container.provide_scontrol(submission)
        folder = self.supervisor.folder
        message = f"time limit or preemption: requeued, {resumption(folder.resume_step())}"
        folder.write_status(state=State.QUEUED, message=message, remedy="", submission=submission.name, task=self.task)
        return DelayedSubmission(Task(self.path, self.task))


def patience(grace: float) -> float:
    """Seconds that a run has to save, of the ``grace`` that SLURM gives it: SLURM may be late, and the processes must
    end."""
    return max(0.75 * grace, grace - ENDING_SECONDS)


def name_job(name: str) -> None:
    """Show in squeue's comment what this job, one of an array, computes. What SLURM says to it changes nothing."""
    words = ["scontrol", "update", f"JobId={job_number()}", f"Comment={name}"]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(words, capture_output=True, timeout=10, check=False)


def job_number() -> str:
    """Return this SLURM job as a person writes it: `12_3`, `12`."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")


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
        work(submission, task, supervisor)
        return 0
    except (Interrupted, KeyboardInterrupt) as stop:
        print(stop, flush=True)
        return INTERRUPTED
    except (UserError, RunFailed) as error:
        print(error, flush=True)
        return USER_ERROR if isinstance(error, UserError) else FAILED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
