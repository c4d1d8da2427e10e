"""A process by name, so that a status can tell whether whoever wrote it still lives."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from gapo_lab.errors import Interrupted


def named() -> dict[str, Any]:
    """What names this process in a status: queued and running last as long as it does."""
    return {"pid": os.getpid(), "pid_start": _started(os.getpid()), "host": socket.gethostname()}


def is_gone(status: Mapping[str, Any]) -> bool:
    """The process named in ``status`` was on this host and lives no more (another one may have its pid)."""
    if status.get("host") != socket.gethostname() or not isinstance(status.get("pid"), int):
        return False
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    started = _started(status["pid"])
    return started == "ended" or (None not in (started, status.get("pid_start")) and started != status["pid_start"])


def _started(pid: int) -> int | str | None:
    """When ``pid`` started, in clock ticks since boot; 'ended' for a zombie, None where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else int(fields[19])


PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent ends. Nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


PR_SET_CHILD_SUBREAPER = 36
# A job that is told to stop gets this long before it is killed.
PATIENCE_SECONDS = 5.0


def adopt_orphans() -> None:
    """Make processes whose parent has ended ours (Linux), so that none escapes `end_descendants`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(keep: Collection[int] = ()) -> None:
    """End every process below this one, politely and then not; `keep` names pids to leave."""
    for kill in (psutil.Process.terminate, psutil.Process.kill):
        ours = [p for p in psutil.Process().children(recursive=True) if p.pid not in keep]
        for process in ours:
            try:
                kill(process)
            except psutil.NoSuchProcess:
                continue
        with suppress(KeyboardInterrupt, Interrupted):  # impatience: on to the next signal
            psutil.wait_procs(ours, timeout=PATIENCE_SECONDS)
