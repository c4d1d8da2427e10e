"""Ends queued and running runs, wherever they are; each can go on later. One scancel for all."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import ACTIVE


def end(root: Path, found: Mapping[str, Mapping[str, Any]], cause: str, remedy: str) -> list[str]:
    """End those of these runs (key -> status) that are active; their keys. ``cause`` is what their status will say."""
    active = {key: status for key, status in found.items() if status.get("state") in ACTIVE}
    for key, status in active.items():
        folder = RunFolder(Path(root) / key)
        if not status.get("submission") and status.get("state") == "running":
            folder.write_status(cause=cause)
            _terminate(status)
        else:
            # before scancel: what a job says in its last moment must not win over this
            folder.write_status(state="interrupted", cause=cause, message=cause, remedy=remedy)
    if jobs := sorted({str(status["job"]) for status in active.values() if status.get("job")}):
        done = subprocess.run(["scancel", *jobs], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RunFailed(f"scancel refused: {done.stderr.strip()[:300]}")
    return list(active)


def _terminate(status: Mapping[str, Any]) -> None:
    if status.get("host") != socket.gethostname():
        raise UserError(f"a run is on {status.get('host')}, started there by hand: cancel it there")
    psutil.Process(status["pid"]).terminate()
