"""Ends queued and running runs, wherever they are; each can be resumed later. One scancel for all."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import ACTIVE
from gapo_lab.supervision.supervisor import GRACE_SECONDS
from gapo_lab.utils.processes import PATIENCE_SECONDS


def end(root: Path, found: Mapping[str, Mapping[str, Any]], cause: str, save: bool = True) -> list[str]:
    """End those of these runs (key -> status) that are active; their keys. ``cause`` is what their status will say.

    save: let the runs of this machine save a checkpoint first, if that takes no longer than `supervisor.GRACE_SECONDS`.
    """
    active = {key: status for key, status in found.items() if status.get("state") in ACTIVE}
    for key, status in active.items():
        folder = RunFolder(Path(root) / key)
        if not status.get("submission") and status.get("state") == "running":
            folder.write_status(cause=cause, save=save)
            _terminate(status)
        else:
            # before scancel: what a job says in its last moment must not win over this
            folder.write_status(state="interrupted", cause=cause, message=cause, remedy="")
    if jobs := sorted({str(status["job"]) for status in active.values() if status.get("job")}):
        done = subprocess.run(["scancel", *jobs], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RunFailed(f"scancel refused: {done.stderr.strip()[:300]}")
    return list(active)


def until_ended(root: Path, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Wait for the processes of those of these runs that are on this machine to end; the statuses of all."""
    until = time.monotonic() + GRACE_SECONDS + 2 * PATIENCE_SECONDS
    while any(_lives_here(RunFolder(Path(root) / key).status()) for key in keys) and time.monotonic() < until:
        time.sleep(0.2)
    return {key: RunFolder(Path(root) / key).status() for key in keys}


def _lives_here(status: Mapping[str, Any]) -> bool:
    return status.get("state") in ACTIVE and status.get("host") == socket.gethostname()


def _terminate(status: Mapping[str, Any]) -> None:
    if status.get("host") != socket.gethostname():
        raise UserError(f"a run is on {status.get('host')}, started there by hand: cancel it there")
    psutil.Process(status["pid"]).terminate()
