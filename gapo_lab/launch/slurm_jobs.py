"""What SLURM knows about our jobs: one sacct for all of them, and squeue where some may wait to be started again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

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
# Ends after which SLURM starts a job again by itself, if it was told to.
RESTARTED = ("NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "TIMEOUT", "FAILED", "CANCELLED")
FORMAT = "JobID,JobName,State,ExitCode,NodeList,Reason,Submit"
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Seen:
    """One job as SLURM sees it. ``before``: how its last life ended, where it waits to be started again.

    ``submitted``: the local time at which this life of it was submitted, as sacct writes it.
    """

    job: str
    state: str
    exit_code: str = ""
    nodes: str = ""
    reason: str = ""
    before: str = ""
    submitted: str = ""

    @property
    def pending(self) -> bool:
        return self.state in PENDING

    @property
    def active(self) -> bool:
        """Running, or about to be."""
        return self.state in ACTIVE


@dataclass(frozen=True)
class Sent:
    """What was handed to SLURM: a submission's name, when (Unix seconds), its job and its study.

    ``job`` is None where the submitter died before it could write the number down.
    """

    name: str
    time: float
    job: str | None = None
    study: str = ""


def look(sent: Iterable[Sent]) -> dict[tuple[str, int], Seen] | None:
    """Every job of these submissions, by submission and array task; None where SLURM gives no answer."""
    sent = list(sent)
    if shutil.which("sacct") is None or not sent:
        return None
    found: dict[tuple[str, int], Seen] = {}
    numbered = {one.job: one.name for one in sent if one.job}
    lost = [one for one in sent if not one.job]
    for words, fields, those in (
        (["-j", ",".join(numbered)], FORMAT, [one for one in sent if one.job]),
        # its script lies in the submission's folder
        (
            ["--name", ",".join(sorted({n for one in lost for n in (one.study, one.name) if n}))],
            FORMAT + ",SubmitLine",
            lost,
        ),
    ):
        if not those:
            continue
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(min(one.time for one in those) - 60))
        # -D: all lives of a job, so that one which waits is still known to have been on a node that failed
        lines = _ask(["sacct", "-X", "-D", "-n", "-P", "-S", since, "-o", fields, *words])
        if lines is None:
            return None
        found |= parse(lines, numbered, [one.name for one in lost])
    return found | _waiting_again(found)


def _waiting_again(found: Mapping[tuple[str, int], Seen]) -> dict[tuple[str, int], Seen]:
    """Those of the ended jobs that wait to be started again; asked where there may be some.

    For some ten seconds only squeue knows it: until sacct has a record of the new life, the last one's stands alone.
    """
    ended = {key: seen for key, seen in found.items() if seen.state in RESTARTED}
    if not ended:
        return {}
    jobs = sorted({seen.job.partition("_")[0] for seen in ended.values()})
    lines = _ask(["squeue", "-h", "-r", "-j", ",".join(jobs), "-o", "%i|%T|%r"]) or []
    waiting = {number: (state, reason) for number, state, reason in (line.split("|", 2) for line in lines)}
    return {
        key: Seen(seen.job, waiting[seen.job][0], nodes=seen.nodes, reason=waiting[seen.job][1], before=seen.state)
        for key, seen in ended.items()
        if waiting.get(seen.job, ("", ""))[0] in PENDING
    }


def _ask(words: list[str]) -> list[str] | None:
    """Return the lines of a SLURM command; None where it fails or takes too long."""
    # without a limit a long list of waiting tasks would end in "..."
    env = {**os.environ, "SLURM_BITSTR_LEN": "0"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=env)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None


def parse(lines: Iterable[str], numbered: Mapping[str, str], lost: Collection[str] = ()) -> dict[tuple[str, int], Seen]:
    """sacct's lines, by submission and array task. Of several records of a task, oldest first, the latest stands.

    numbered: job number -> submission. lost: submissions without a number, found by their folder in the command.
    """
    out: dict[tuple[str, int], Seen] = {}
    for line in lines:
        parts = line.rstrip("\n").split("|", 7)
        if len(parts) < 7:
            continue
        number, name, state, code, nodes, reason, submitted = parts[:7]
        array = number.partition("_")[0]
        where = f"{name}/{''.join(parts[7:])}"
        submission = numbered.get(array) or next((one for one in lost if f"{one}/" in where), None)
        if submission is None:
            continue
        nodes = "" if nodes.startswith("None") else nodes
        reason = "" if reason == "None" else reason
        for task in tasks_of(number):
            job = array + (f"_{task}" if "_" in number else "")
            seen = Seen(job, state.split()[0] if state else "", code, nodes, reason, submitted=submitted)
            out[submission, task] = _after(out.get((submission, task)), seen)
    return out


def _after(last: Seen | None, seen: Seen) -> Seen:
    """Return the later of two records of a task; with how its last life ended where it waits to be started again.

    The record of an array's tasks that wait, `12_[4-6%2]`, still names one that has begun since: a life of its own that
    waits was submitted later than the one before.
    """
    if last is None or last.job != seen.job or not seen.pending:
        return seen
    if not last.pending and seen.submitted <= last.submitted:
        return last
    return replace(seen, before=last.state) if last.state in RESTARTED else seen


def tasks_of(number: str) -> Iterator[int]:
    """Yield the array tasks in a job number: `12` -> 0, `12_3` -> 3, `12_[4-6,9%2]` -> 4 5 6 9."""
    task = number.partition("_")[2]
    if not task:
        yield 0
        return
    for part in re.sub(r"%\d+", "", task.strip("[]")).split(","):
        low, _, high = part.partition("-")
        yield from range(int(low), int(high or low) + 1)
