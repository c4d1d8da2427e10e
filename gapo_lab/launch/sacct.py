"""What SLURM knows about our jobs: one call for all of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

PENDING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
ACTIVE = (
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "SUSPENDED",
    "STOPPED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
)
FORMAT = "JobID,JobName,State,ExitCode,NodeList,Reason"
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Seen:
    """One job as SLURM sees it."""

    job: str
    state: str
    exit_code: str = ""
    nodes: str = ""
    reason: str = ""

    @property
    def pending(self) -> bool:
        return self.state in PENDING

    @property
    def active(self) -> bool:
        """Running, or about to be."""
        return self.state in ACTIVE


def look(submissions: Mapping[str, float]) -> dict[tuple[str, int], Seen] | None:
    """Every job of these submissions (name -> when, Unix seconds) by name and array task.

    None where SLURM gives no answer. Jobs are found by name, so also those whose number was never written down.
    """
    if shutil.which("sacct") is None or not submissions:
        return None
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(min(submissions.values()) - 60))
    words = ["sacct", "-X", "-n", "-P", "-S", since, "-o", FORMAT, "--name", ",".join(submissions)]
    try:
        # without a limit a long list of waiting tasks would end in "..."
        env = {**os.environ, "SLURM_BITSTR_LEN": "0"}
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=env
        )
    except subprocess.TimeoutExpired:
        return None
    return parse(done.stdout.splitlines()) if done.returncode == 0 else None


def parse(lines: Iterable[str]) -> dict[tuple[str, int], Seen]:
    """sacct's lines. Of several records of a task (it was submitted again) the latest stands."""
    out: dict[tuple[str, int], Seen] = {}
    for line in lines:
        parts = line.rstrip("\n").split("|")
        if len(parts) < 6:
            continue
        number, name, state, code, nodes, reason = parts[:6]
        nodes = "" if nodes.startswith("None") else nodes
        reason = "" if reason == "None" else reason
        for task in tasks_of(number):
            job = number.partition("_")[0] + (f"_{task}" if "_" in number else "")
            out[name, task] = Seen(job, state.split()[0] if state else "", code, nodes, reason)
    return out


def tasks_of(number: str) -> Iterator[int]:
    """The array tasks in a job number: `12` -> 0, `12_3` -> 3, `12_[4-6,9%2]` -> 4 5 6 9."""
    task = number.partition("_")[2]
    if not task:
        yield 0
        return
    for part in re.sub(r"%\d+", "", task.strip("[]")).split(","):
        low, _, high = part.partition("-")
        yield from range(int(low), int(high or low) + 1)
