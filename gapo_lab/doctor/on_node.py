"""The doctor on a node: a short job of the same cluster settings with one GPU, whose findings are read from a file."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gapo_lab.doctor import examine, storage
from gapo_lab.doctor.examined_runs import ExaminedRuns
from gapo_lab.doctor.finding import Finding, wrong
from gapo_lab.errors import RunFailed
from gapo_lab.launch import code_snapshot, slurm
from gapo_lab.launch.submission import Submission
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.utils import atomic_files

HOURS, MEMORY_GB, GRACE = 0.25, 16.0, 30.0
ANSWER = "findings.json"
EVERY, ASK_EVERY = 0.5, 5.0
# How long a file that a node has written may take to be seen here.
LATE_SECONDS = 20.0


class Examination:
    """What submitit calls in the job."""

    def __init__(self, examined: ExaminedRuns, folder: Path, word: str) -> None:
        self.examined, self.folder, self.word = examined.to_json(), str(folder), word

    def __call__(self) -> None:
        if os.environ.get("SLURM_PROCID", "0") != "0":
            return
        node, folder = socket.gethostname(), Path(self.folder)
        node = os.environ.get("SLURMD_NODENAME", node)
        found = []
        for finding in examine.on_node(ExaminedRuns.from_json(self.examined), node, folder, self.word):
            print(f"{finding.verdict} {finding.about}: {finding.text}", flush=True)
            found.append(finding.to_json())
        atomic_files.write_json(folder / ANSWER, {"node": node, "findings": found})


def small(cluster: ClusterConfig) -> ClusterConfig:
    """Return the same place for a short job: one node, one GPU where runs have some, minutes, little memory."""
    memory = min(cluster.memory, MEMORY_GB) if cluster.memory else cluster.memory
    return replace(
        cluster,
        nodes=1,
        gpus=1 if cluster.gpus else None,
        hours=min(cluster.hours, HOURS),
        memory=memory,
        requeues=0,
        grace=GRACE,
        max_parallel=1,
    )


def run(examined: ExaminedRuns, cluster: ClusterConfig, say: Callable[[str], None]) -> Iterator[Finding]:
    """Submit the job, wait for it, and give its findings. Ctrl-C cancels the job.

    say: is told how the job stands.
    """
    word = secrets.token_hex(8)
    submission = Submission.new(
        examined.root,
        (),
        cluster=small(cluster),
        code=code_snapshot.take(examined.root),
        study="gapo-doctor",
        comment="python -m gapo_lab doctor",
    )
    folder = submission.logs
    atomic_files.make_folder(folder)
    try:
        storage.remember(folder, word)
        try:
            job = slurm.submit(submission, [Examination(examined, folder, word)])
        except RunFailed as refused:
            yield wrong("node", str(refused))
            return
        say(f"submitted as SLURM job {job}; Ctrl-C cancels it")
        try:
            answer = _wait(job, folder, say)
        except BaseException:
            subprocess.run(["scancel", job], check=False, capture_output=True)
            raise
        if answer is None:
            yield silent(job, examined.root, _last_line(folder))
            return
        say(f"node {answer['node']}:")
        for raw in answer["findings"]:
            yield Finding.from_json(raw)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def silent(job: str, root: Path, last_line: str) -> Finding:
    """Of a job that ended without an answer. last_line: of what it printed, '' where nothing was."""
    if last_line:
        return wrong(
            "node", f"job {job} ended without an answer: {last_line}", "Mend cluster.setup or cluster.container"
        )
    remedy = "Set run_root=FOLDER on a file system that all nodes share; `scontrol show job` says how the job ended"
    return wrong("node", f"job {job} ended and wrote nothing to {root}", remedy)


def _wait(job: str, folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return the job's answer; None where it has ended without one."""
    asked, gone_since, shown = 0.0, None, ""
    while True:
        if (answer := atomic_files.read_json(folder / ANSWER)) is not None:
            return answer
        now = time.monotonic()
        if now - asked > ASK_EVERY:
            asked, state = now, _state(job)
            gone_since = None if state else (gone_since or now)
            if state and state != shown:
                say(f"job {job}: {state}")
                shown = state
        if gone_since is not None and now - gone_since > LATE_SECONDS:
            return None
        time.sleep(EVERY)


def _state(job: str) -> str:
    """`pending (Resources)`, `running`; '' for a job that has left the queue."""
    words = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T|%r"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return "SLURM does not answer"
    state, _, reason = done.stdout.strip().partition("|")
    if state not in ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED"):
        return ""
    return state.lower() + (f" ({reason})" if reason not in ("", "None") else "")


def _last_line(folder: Path) -> str:
    lines: list[str] = []
    for path in sorted(folder.glob("*.out")):
        lines += [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
