"""A limit on the seconds of one call of somebody's function: what hangs ends, with the name of what hung.

In the main thread a signal interrupts it, also in the middle of a regular expression. In other threads nothing can be
interrupted: there the process ends, after the reason has been written down.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

# Seconds after which a process is ended that Python's own timer could not end.
GRACE = 5.0
# How faulthandler's own words begin.
_TIMED_OUT = "Timeout ("


class TooLong(Exception):
    """A call took longer than it may."""


@contextmanager
def deadline(seconds: float, said: str, reason: Path | None) -> Iterator[None]:
    """Give the block ``seconds``. Raises TooLong with ``said`` after that; in other threads than the first it ends the
    process, with ``said`` in the file ``reason`` and on stderr."""
    if threading.current_thread() is threading.main_thread():
        with _interrupted(seconds, said):
            yield
    else:
        with _ended(seconds, said, reason):
            yield


@contextmanager
def _interrupted(seconds: float, said: str) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLong(said)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _ended(seconds: float, said: str, reason: Path | None) -> Iterator[None]:
    timer = threading.Timer(seconds, _end, (said, reason))
    timer.daemon = True
    timer.start()
    # a C function that keeps Python's lock stops the timer, too; this one needs no lock
    mark = _LAST_RESORT.begin(seconds + GRACE, said, reason)
    try:
        yield
    finally:
        timer.cancel()
        _LAST_RESORT.end(mark)


def _end(said: str, reason: Path | None) -> None:
    if reason:
        reason.write_text(said + "\n", encoding="utf-8")
    print(said, file=sys.stderr, flush=True)
    os._exit(1)


def reason_in(path: Path) -> str:
    """Return what was written down of a call that failed or hung; '' where nothing was."""
    with suppress(OSError):
        if lines := path.read_text(encoding="utf-8").strip().splitlines():
            return lines[-1]
    with suppress(OSError):
        calls, timed_out, _ = _hung(path).read_text(encoding="utf-8").partition(_TIMED_OUT)
        if timed_out:
            return ", or ".join(calls.strip().splitlines())
    return ""


def _hung(reason: Path) -> Path:
    return reason.with_name(f"{reason.name}.hung")


class _LastResort:
    """faulthandler's timer, of which a process has one: it runs while any call does, anew when one begins or ends.

    It can write nothing of ours: what the calls are stands in its file before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, tuple[float, str]] = {}
        self._file: Any = None
        self._last = 0

    def begin(self, seconds: float, said: str, reason: Path | None) -> int:
        """Note that a call begins, and return the number that ends it."""
        with self._lock:
            if self._file is None:
                self._file = sys.__stderr__
                if reason:
                    self._file = open(_hung(reason), "w", encoding="utf-8")  # noqa: SIM115
            self._last += 1
            self._calls[self._last] = (seconds, said)
            self._start()
            return self._last

    def end(self, mark: int) -> None:
        with self._lock:
            del self._calls[mark]
            self._start()

    def _start(self) -> None:
        if not self._calls or self._file is None:
            faulthandler.cancel_dump_traceback_later()
            return
        if self._file is not sys.__stderr__:
            self._file.seek(0)
            self._file.truncate()
            self._file.write("".join(f"{said}\n" for _, said in self._calls.values()))
            self._file.flush()
        longest = max(seconds for seconds, _ in self._calls.values())
        file: Any = self._file
        faulthandler.dump_traceback_later(longest, exit=True, file=file)


_LAST_RESORT = _LastResort()
