"""A run in a SLURM job: what submitit calls there, and what happens on SLURM's warning before the time limit."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from gapo_lab.launch import outside_container, submitted_run
from gapo_lab.launch.submission import Submission
from gapo_lab.planning.resources import ENDING_SECONDS
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.status import State, resumption
from gapo_lab.utils.processes import end_descendants


class SlurmTask:
    """What submitit calls in the job, and calls again after a requeue."""

    def __init__(self, path: str, task: int) -> None:
        self.path, self.task = path, task

    def __call__(self) -> None:
        from gapo_lab.launch import run_nodes
        from gapo_lab.training.ray_cluster import MEETING

        submission = Submission.read(Path(self.path))
        if run_nodes.rank() > 0:
            run_nodes.help_rank_0(submission, self.task)
            return
        name_job(run_name(RunFolder(submission.root / submission.keys[self.task]).spec))
        os.environ[MEETING] = str(run_nodes.meeting(submission))
        self.supervisor = submitted_run.supervisor_of(submission, self.task)
        submitted_run.run(submission, self.task, self.supervisor, job=job_number())

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
        return DelayedSubmission(SlurmTask(self.path, self.task))


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
