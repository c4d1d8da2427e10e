"""A process by name, so that a status can tell whether whoever wrote it still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
    return started == "ended" or (
        None not in (started, status.get("pid_start")) and started != status["pid_start"]
    )


def _started(pid: int) -> int | str | None:
    """When ``pid`` started, in clock ticks since boot; 'ended' for a zombie, None where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else int(fields[19])
