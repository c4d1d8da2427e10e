"""The state of many runs: what their folders say, held against what the scheduler says. The scheduler is asked once
for all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import RunRoot, ahead
from gapo_lab.runs.status import ACTIVE, Cause, RunStatus, State
from gapo_lab.utils.atomic_files import read_json

if TYPE_CHECKING:  # imported where a run waits for SLURM or was ended by it: of most runs nobody asks it
    from gapo_lab.launch import slurm_jobs
    from gapo_lab.launch.slurm_jobs import Seen

# States in which the scheduler may know more than the folder: a job that died is requeued, or is not.
ASKED = (*ACTIVE, State.INTERRUPTED)
# A job that was submitted this long ago may not have reached SLURM's records yet.
FRESH_SECONDS = 60.0
# From so many runs on it is worth reading what was kept of them.
MANY = 100
# How SLURM's words for a job that has ended read, and what to do about them.
ENDED = {
    "OUT_OF_MEMORY": (Cause.OUT_OF_MEMORY, "give it more memory (cluster.memory) or a smaller batch"),
    "CANCELLED": (Cause.CANCELLED, ""),
    "TIMEOUT": (Cause.TIME_LIMIT, "raise cluster.hours or cluster.requeues"),
    "NODE_FAIL": (Cause.NODE_FAILURE, ""),
    "PREEMPTED": (Cause.PREEMPTED, ""),
    "BOOT_FAIL": (Cause.NODE_FAILURE, ""),
    "DEADLINE": (Cause.DEADLINE, ""),
}
# Of a job that died before its run started.
BEFORE_ITS_RUN = "fix cluster.setup, cluster.container or the paths that it names (docs/slurm.md)"
# What a job is said to have been requeued after.
AFTER = {
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "PREEMPTED": "preemption",
    "TIMEOUT": "its time limit",
}
# Why a job waits, where SLURM's word for it says less than ours. '' says nothing: BeginTime means that SLURM lets a
# moment pass before it starts a job again.
REASONS = {
    "None": "",
    "BeginTime": "",
    "JobArrayTaskLimit": "as many as cluster.max_parallel allows at a time are running",
}
# Ends that are nobody's fault: the run simply goes on.
BLAMELESS = ("CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE")


def existing(root: Path, keys: Iterable[str]) -> list[str]:
    """Those of the keys that have a folder under `root`; one look at the disk for all."""
    names = RunRoot(root, remember=False).names
    return [key for key in keys if key in names]


def read(root: Path, keys: Iterable[str], runs: RunRoot | None = None) -> dict[str, RunStatus]:
    """Return the status of each run that has a folder, by key, as it really is.

    runs: the same root, where more is asked of it; the folders are then as they were at its moment.
    """
    keys = list(keys)
    with nullcontext(runs) if runs else RunRoot(root, remember=len(keys) >= MANY) as runs:
        folders = [runs.folder(key) for key in keys if key in runs.names]
        ahead(folders, _status)
        found = {folder.key: _status(folder) for folder in folders}
    waiting = {key: status for key, status in found.items() if status.state in ASKED and status.submission}
    if waiting:
        from gapo_lab.launch import slurm_jobs

        seen = slurm_jobs.look(_sent(Path(root), waiting.values()))
        found |= {key: _known(Path(root), key, status, seen) for key, status in waiting.items()}
    return found


def _known(root: Path, key: str, status: RunStatus, seen: Mapping[tuple[str, int], Seen] | None) -> RunStatus:
    """``status``, corrected by what the scheduler says; with where the run resumes if it has stopped."""
    now = _memory(root, key, _last_words(root, key, status, reconcile(status, seen)))
    return RunFolder(root / key).stopped(now) if now.has_stopped and now != status else now


def _sent(root: Path, statuses: Iterable[RunStatus]) -> list[slurm_jobs.Sent]:
    """Return the submissions of these runs, with their jobs as far as they were written down."""
    from gapo_lab.launch import slurm_jobs
    from gapo_lab.launch.submission import FOLDER

    since = {status.submission: status.submitted or 0.0 for status in statuses if status.submission}
    records = {name: read_json(root / FOLDER / f"{name}.json") or {} for name in since}
    return [
        slurm_jobs.Sent(name, since[name], record.get("job"), record.get("study", ""))
        for name, record in records.items()
    ]


def _memory(root: Path, key: str, status: RunStatus) -> RunStatus:
    """``status``, with the cause where SLURM ended the job for its memory: only the job's output says so for sure."""
    if status.is_active or not status.job:
        return status
    from gapo_lab.launch import job_output
    from gapo_lab.runs.failure import is_out_of_memory

    lines = [line for line in job_output.last_lines(root, key, status, 100) if is_out_of_memory(line)]
    if not lines:
        return status
    cause, remedy = ENDED["OUT_OF_MEMORY"]
    message = f"{cause}: {lines[-1][:200]}"
    return status.changed(state=State.FAILED, cause=cause, message=message, remedy=remedy)


def _last_words(root: Path, key: str, before: RunStatus, status: RunStatus) -> RunStatus:
    """``status``, with the last lines of a job that died before its run could start: they say why."""
    if status.state is not State.FAILED or before.state is not State.QUEUED:
        return status
    from gapo_lab.launch import job_output

    lines = job_output.last_lines(root, key, status)
    return status.changed(message="\n".join([*lines, status.message]), remedy=BEFORE_ITS_RUN) if lines else status


def _status(folder: RunFolder) -> RunStatus:
    try:
        # what is written aside begins with a dot: a submitter that was killed there has left nothing else
        size = folder.size("spec.yaml")
        if not size and any(not name.startswith(".") for name in os.listdir(folder.path)):
            what = "no" if size is None else "an empty"
            return _broken(f"{folder.path} has {what} spec.yaml. Move the folder away")
        status = folder.status()
        if status.state is State.FINISHED:
            folder.summary()  # a result that cannot be read is none
        return status
    except (UserError, NotADirectoryError) as error:
        return _broken(str(error))


def _broken(why: str) -> RunStatus:
    return RunStatus(State.BROKEN, message=why)


def reconcile(status: RunStatus, seen: Mapping[tuple[str, int], Seen] | None) -> RunStatus:
    """``status`` of a queued or running run, corrected by what the scheduler says of its job.

    seen: None where the scheduler gives no answer, then the folder's word stands.
    """
    if seen is None:
        return status.changed(unsure="the scheduler does not answer")
    job = seen.get((status.submission or "", status.task))
    spoken = status.state is State.INTERRUPTED and status.cause is not Cause.GONE
    if spoken and (job is None or not (job.pending or job.active)):
        return status
    if job is None and time.time() - (status.submitted or 0.0) < FRESH_SECONDS:
        return status
    if job is None:
        why = "the scheduler does not know its job (never submitted, or purged)"
        return status.changed(state=State.INTERRUPTED, cause=Cause.LOST, message=why, remedy="")
    known = status.changed(job=job.job, node=job.nodes)
    if job.pending:
        why = _waits(status, job)
        return known.changed(state=State.QUEUED, cause=Cause.NONE, message=why, remedy="")
    if job.active:
        if status.state is State.RUNNING:
            return known
        # it has just been started, perhaps again, and has not said so yet
        starts = f"starting on {job.nodes}"
        return known.changed(state=State.RUNNING, cause=Cause.NONE, message=starts, remedy="")
    cause, remedy = ENDED.get(job.state, (Cause.KILLED, "see its log and fix the cause"))
    state = State.INTERRUPTED if job.state in BLAMELESS else State.FAILED
    message = f"SLURM: {job.state} on {job.nodes or 'no node'} (job {job.job}, exit code {job.exit_code})"
    return known.changed(state=state, cause=cause, message=message, remedy=remedy)


def _waits(status: RunStatus, job: Seen) -> str:
    """Why a job waits: `requeued after node failure`, `waits: Priority`."""
    queued = status.state is State.QUEUED
    if job.before:
        text = f"requeued after {AFTER.get(job.before, job.before.lower().replace('_', ' '))}"
    elif queued and "requeued" in status.message:
        text = status.message
    else:
        text = "waits" if queued else "requeued"
    reason = REASONS.get(job.reason, job.reason)
    return f"{text}: {reason}" if reason else text
