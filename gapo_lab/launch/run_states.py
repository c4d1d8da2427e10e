"""The state of many runs: what their folders say, held against what the scheduler says. The scheduler is asked once
for all."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.launch import sacct
from gapo_lab.launch.sacct import Seen
from gapo_lab.launch.submission import FOLDER
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import ACTIVE
from gapo_lab.utils.atomic_files import read_json

# States in which the scheduler may know more than the folder: a job that died is requeued, or is not.
ASKED = (*ACTIVE, "interrupted")
_TOO_LITTLE = re.compile(r"exceeded (?:job )?memory limit|oom[-_ ]kill|out[- ]of[- ]memory", re.IGNORECASE)
# A job that was submitted this long ago may not have reached SLURM's records yet.
FRESH_SECONDS = 60.0
# How SLURM's words for a job that has ended read, and what to do about them.
ENDED = {
    "OUT_OF_MEMORY": ("out of memory", "give it more memory (cluster.memory) or a smaller batch"),
    "CANCELLED": ("cancelled", ""),
    "TIMEOUT": ("time limit", "raise cluster.hours or cluster.requeues"),
    "NODE_FAIL": ("node failure", ""),
    "PREEMPTED": ("preempted", ""),
    "BOOT_FAIL": ("node failure", ""),
    "DEADLINE": ("deadline", ""),
}
# What a job is said to have been requeued after.
AFTER = {
    "NODE_FAIL": "node failure",
    "BOOT_FAIL": "node failure",
    "PREEMPTED": "preemption",
    "TIMEOUT": "its time limit",
}
# Ends that are nobody's fault: the run simply goes on.
BLAMELESS = ("CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE")


def existing(root: Path, keys: Iterable[str]) -> list[str]:
    """Those of the keys that have a folder under `root`; one look at the disk for all."""
    try:
        names = {entry.name for entry in os.scandir(root)}
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [key for key in keys if key in names]


def read(root: Path, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The status of each run that has a folder, by key, as it really is. A broken folder reads as ``broken``."""
    found = {key: _status(RunFolder(Path(root) / key)) for key in existing(root, keys)}
    waiting = {key: s for key, s in found.items() if s.get("state") in ASKED and s.get("submission")}
    if waiting:
        seen = sacct.look(_sent(Path(root), waiting.values()))
        found |= {key: _known(Path(root), key, status, seen) for key, status in waiting.items()}
    return found


def _known(
    root: Path, key: str, status: Mapping[str, Any], seen: Mapping[tuple[str, int], Seen] | None
) -> dict[str, Any]:
    """``status``, corrected by what the scheduler says; with where the run resumes if it has stopped."""
    now = _memory(root, reconcile(status, seen))
    changed = now.get("state") not in ACTIVE and now != status
    return RunFolder(root / key).stopped(now) if changed else now


def _sent(root: Path, statuses: Iterable[Mapping[str, Any]]) -> list[sacct.Sent]:
    """The submissions of these runs, with their jobs as far as they were written down."""
    since = {status["submission"]: status.get("submitted", 0) for status in statuses}
    records = {name: read_json(root / FOLDER / f"{name}.json") or {} for name in since}
    return [
        sacct.Sent(name, since[name], record.get("job"), record.get("study", "")) for name, record in records.items()
    ]


def _memory(root: Path, status: dict[str, Any]) -> dict[str, Any]:
    """``status``, with the cause where SLURM ended the job for its memory: only the job's output says so for sure."""
    if status.get("state") in ACTIVE or not status.get("job"):
        return status
    path = root / FOLDER / status["submission"] / f"{status['job']}_0_log.out"
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            tail = file.read().decode(errors="replace")
    except OSError:
        return status
    lines = [line for line in tail.splitlines() if _TOO_LITTLE.search(line)]
    if not lines:
        return status
    return status | {
        "state": "failed",
        "cause": "out of memory",
        "message": f"out of memory: {lines[-1][:200]}",
        "remedy": ENDED["OUT_OF_MEMORY"][1],
    }


def _status(folder: RunFolder) -> dict[str, Any]:
    try:
        # what is written aside begins with a dot: a submitter that was killed there has left nothing else
        spec = folder.path / "spec.yaml"
        whole = spec.exists() and spec.stat().st_size
        if not whole and any(not entry.name.startswith(".") for entry in folder.path.iterdir()):
            what = "an empty" if spec.exists() else "no"
            return {"state": "broken", "message": f"{folder.path} has {what} spec.yaml: move the folder away"}
        status = folder.status()
        if status.get("state") == "finished":
            folder.summary()  # a result that cannot be read is none
        return status
    except (UserError, NotADirectoryError) as error:
        return {"state": "broken", "message": str(error)}


def reconcile(status: Mapping[str, Any], seen: Mapping[tuple[str, int], Seen] | None) -> dict[str, Any]:
    """``status`` of a queued or running run, corrected by what the scheduler says of its job.

    seen: None where the scheduler gives no answer, then the folder's word stands.
    """
    if seen is None:
        return dict(status) | {"unsure": "the scheduler does not answer"}
    job = seen.get((status["submission"], status.get("task", 0)))
    spoken = status.get("state") == "interrupted" and status.get("cause") != "gone"
    if spoken and (job is None or not (job.pending or job.active)):
        return dict(status)
    if job is None and time.time() - status.get("submitted", 0) < FRESH_SECONDS:
        return dict(status)
    if job is None:
        return dict(status) | {
            "state": "interrupted",
            "cause": "lost",
            "message": "the scheduler does not know its job (never submitted, or purged)",
            "remedy": "",
        }
    known = dict(status) | {"job": job.job, "node": job.nodes}
    if job.pending:
        return known | {"state": "queued", "cause": None, "message": _waits(status, job), "remedy": ""}
    if job.active:
        # a job that has just been started, perhaps again, has not said so yet
        late = status.get("state") != "running"
        starts = {"state": "running", "cause": None, "message": f"starting on {job.nodes}", "remedy": ""}
        return known | (starts if late else {})
    cause, remedy = ENDED.get(job.state, ("killed", "see its log and fix the cause"))
    state = "interrupted" if job.state in BLAMELESS else "failed"
    message = f"SLURM: {job.state} on {job.nodes or 'no node'} (job {job.job}, exit code {job.exit_code})"
    return known | {"state": state, "cause": cause, "message": message, "remedy": remedy}


def _waits(status: Mapping[str, Any], job: Seen) -> str:
    """Why a job waits: `requeued after node failure`, `waits: Priority`."""
    said = str(status.get("message") or "")
    if job.before:
        text = f"requeued after {AFTER.get(job.before, job.before.lower().replace('_', ' '))}"
    elif status.get("state") == "queued" and "requeued" in said:
        text = said
    else:
        text = "waits" if status.get("state") == "queued" else "requeued"
    # BeginTime: SLURM lets a moment pass before it starts a job again
    return text if job.reason in ("", "None", "BeginTime") else f"{text}: {job.reason}"
