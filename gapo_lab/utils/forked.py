"""A child that goes on in this program, with all that is imported, where `subprocess` would begin a new one.

Linux only: it is waited for by its pidfd, which names it also after its pid has been given away.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection
from pathlib import Path

# Signals that a new program would find at their defaults.
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGALRM")
# Files that the libraries opened while they were imported: `remember_open_files`.
_libraries: set[int] = set()


class Forked:
    """The child, with that part of `subprocess.Popen` that a supervisor uses. Only its parent may hold it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, minus the signal that ended it; None while it runs."""
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it: as subprocess
                pid, status = self.pid, 0
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                os.close(self.pidfd)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit code. Raises subprocess.TimeoutExpired after ``timeout`` seconds."""
        if self.poll() is None:
            select.select([self.pidfd], [], [], timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def remember_open_files(besides: Collection[int] = ()) -> None:
    """Let children keep the files that are open now, but for ``besides``."""
    _libraries.update(_open_files() - set(besides))


def fork(main: Callable[[], int], output: int, keep: Collection[int] = ()) -> Forked:
    """Call ``main`` in a child of its own session, which ends with the code it returns.

    output: the open file that it prints to. keep: further open files that it needs; it has no others of its parent's.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return Forked(pid)
    code = 1
    try:
        _settle(output, keep)
        code = main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - a child must never return into its parent's work
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _settle(output: int, keep: Collection[int]) -> None:
    """Make this fork what a new program would be: session, signals, files, random numbers."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for name in SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    for number in _open_files() - {0, 1, 2, *keep, *_libraries}:
        os.close(number)
    # nothing is kept back for the case that it is killed
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    # two children must not draw the same names and ports; what a run's seed decides is seeded by the run
    random.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _open_files() -> set[int]:
    found = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    return {number for number in found if _is_open(number)}


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # the folder that was just read
        return False
    return True
