"""What runs one run of a submission where it was sent: a SLURM task or a local process.

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

from gapo_lab.errors import Interrupted, RunFailed, UserError
from gapo_lab.launch.submission import Submission
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.supervision import supervisor
from gapo_lab.utils import atomic_files
from gapo_lab.utils.processes import end_descendants

# How long a run that is still held (a requeued job whose first life is being ended) is waited for.
PATIENCE_SECONDS = 90.0


def work(submission: Submission, task: int, job: str | None = None) -> None:
    """Run task `task` to its end; RunFailed, UserError or Interrupted as `supervisor.work`."""
    folder = RunFolder(submission.root / submission.keys[task])
    status: dict[str, Any] = {"submission": submission.name, "task": task} if job else {}
    status |= {"job": job, "submitted": submission.time} if job else {}
    console = Console(force_terminal=False, width=120)
    try:
        supervisor.work(folder, console, patience=PATIENCE_SECONDS if job else 0.0, status=status,
                       origin=submission.origin)  # fmt: skip
    finally:
        if submission.on_finish:
            tell(submission)


def tell(submission: Submission) -> None:
    """Call the user's command once, after the last run of the submission has ended."""
    with atomic_files.locked(submission.logs / "told.lock"):
        told = submission.logs / "told"
        states = [RunFolder(submission.root / key).status().get("state") for key in submission.keys]
        if told.exists() or any(state in (None, "queued", "running") for state in states):
            return
        told.touch()
    facts = {"GAPO_LAB_STUDY": submission.study, "GAPO_LAB_FINISHED": str(states.count("finished")),
             "GAPO_LAB_FAILED": str(len(states) - states.count("finished"))}  # fmt: skip
    done = subprocess.run(submission.on_finish, shell=True, env={**os.environ, **facts}, check=False)
    if done.returncode:
        print(f"on_finish: {submission.on_finish}: exit code {done.returncode}", flush=True)


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
        work(submission, self.task, job=job_number())

    def checkpoint(self) -> Any:
        """Called by submitit on SLURM's warning (time limit, preemption): save, stop, and be requeued."""
        from submitit.helpers import DelayedSubmission

        submission = Submission.read(Path(self.path))
        saved = supervisor.save_and_stop(submission.cluster.get("grace", 120) * 0.75)
        end_descendants()
        folder = RunFolder(submission.root / submission.keys[self.task])
        how = "after saving" if saved else "from the last checkpoint"
        folder.write_status(state="queued", message=f"time limit or preemption: requeued, goes on {how}",
                            remedy="", submission=submission.name, task=self.task)  # fmt: skip
        return DelayedSubmission(Task(self.path, self.task))


def name_job(name: str) -> None:
    """Show in squeue's comment what this job, one of an array, computes. What SLURM says to it changes nothing."""
    words = ["scontrol", "update", f"JobId={job_number()}", f"Comment={name}"]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(words, capture_output=True, timeout=10, check=False)


def job_number() -> str:
    """This SLURM job as a person writes it: `12_3`, `12`."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")


def main(path: str, task: str) -> int:
    """Exit code 0; 1 failed run; 2 user's mistake; 130 interrupted."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal ends nothing
    try:
        work(Submission.read(Path(path)), int(task))
        return 0
    except Interrupted as stop:
        print(stop, flush=True)
        return 130
    except (UserError, RunFailed) as error:
        print(error, flush=True)
        return 2 if isinstance(error, UserError) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
