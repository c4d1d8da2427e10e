"""Ends queued and running runs, wherever they are; each can be resumed later. One scancel for all."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import Cause, RunStatus, State
from gapo_lab.supervision.supervisor import GRACE_SECONDS
from gapo_lab.utils.processes import PATIENCE_SECONDS


def end(root: Path, found: Mapping[str, RunStatus], cause: Cause, why: str = "", save: bool = True) -> list[str]:
    """End those of these runs (key -> status) that are active; their keys.

    why: what their status will say, `pruned at step 20`; the cause where it is left out.
    save: let the runs of this machine save a checkpoint first, if that takes no longer than `supervisor.GRACE_SECONDS`.
    """
    why = why or str(cause)
    active = {key: status for key, status in found.items() if status.is_active}
    for key, status in active.items():
        folder = RunFolder(Path(root) / key)
        if not status.submission and status.state is State.RUNNING:
            folder.write_status(cause=cause, ended_for=why, save=save)
            _terminate(status)
        else:
            # before scancel: what a job says in its last moment must not win over this
            folder.write_status(state=State.INTERRUPTED, cause=cause, ended_for=why, message=why, remedy="")
    if jobs := sorted({status.job for status in active.values() if status.job}):
        done = subprocess.run(["scancel", *jobs], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RunFailed(f"scancel refused: {done.stderr.strip()[:300]}")
    return list(active)


def until_ended(root: Path, keys: Sequence[str]) -> dict[str, RunStatus]:
    """Wait for the processes of those of these runs that are on this machine to end; the statuses of all."""
    until = time.monotonic() + GRACE_SECONDS + 2 * PATIENCE_SECONDS
    while any(_lives_here(RunFolder(Path(root) / key).status()) for key in keys) and time.monotonic() < until:
        time.sleep(0.2)
    return {key: RunFolder(Path(root) / key).status() for key in keys}


def _lives_here(status: RunStatus) -> bool:
    return status.is_active and status.process is not None and status.process.is_here()


def _terminate(status: RunStatus) -> None:
    if status.process is None or not status.process.is_here():
        where = status.process.host if status.process else "another machine"
        raise UserError(f"a run is on {where}, started there by hand. Cancel it there")
    psutil.Process(status.process.pid).terminate()
