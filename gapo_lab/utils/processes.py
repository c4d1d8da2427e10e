"""Identify a process (host, pid, start time), to detect that the writer of a file has died; end child processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from gapo_lab.errors import Interrupted


@dataclass(frozen=True)
class Process:
    """Identify a process by host, pid and start time, so that a later reader can tell whether it still lives.

    ``started`` is in clock ticks since boot, as the kernel has it: a start time in seconds, as psutil gives it,
    moves when the clock is set.
    """

    NAMES: ClassVar[frozenset[str]] = frozenset({"pid", "pid_start", "host"})

    pid: int
    started: int | str | None
    host: str

    @classmethod
    def here(cls) -> Self:
        """Return this process."""
        return cls(os.getpid(), _started(os.getpid()), _host())

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self | None:
        """Return the process that ``raw`` names, if it names one."""
        pid, host = raw.get("pid"), raw.get("host")
        return cls(pid, raw.get("pid_start"), host) if isinstance(pid, int) and isinstance(host, str) else None

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"

    def to_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "pid_start": self.started, "host": self.host}

    def is_here(self) -> bool:
        """Whether it is or was on this machine."""
        return self.host == _host()

    def is_gone(self) -> bool:
        """Whether it was on this machine and lives no more (another one may have its pid)."""
        if not self.is_here():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        started = _started(self.pid)
        return started == "ended" or (None not in (started, self.started) and started != self.started)


def _host() -> str:
    """Return `socket.gethostname()`, without importing `socket`, which takes a tenth of the start of a command."""
    return os.uname().nodename


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
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


PR_SET_CHILD_SUBREAPER = 36
# A job that is told to stop gets this long before it is killed.
PATIENCE_SECONDS = 5.0


def adopt_orphans() -> None:
    """Make processes whose parent has ended ours (Linux), so that none escapes `end_descendants`."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(keep: Collection[int] = ()) -> None:
    """End every process below this one, politely and then not; `keep` names pids to leave."""
    import psutil

    for kill in (psutil.Process.terminate, psutil.Process.kill):
        ours = [p for p in psutil.Process().children(recursive=True) if p.pid not in keep]
        for process in ours:
            try:
                kill(process)
            except psutil.NoSuchProcess:
                continue
        with suppress(KeyboardInterrupt, Interrupted):  # impatience: on to the next signal
            psutil.wait_procs(ours, timeout=PATIENCE_SECONDS)
