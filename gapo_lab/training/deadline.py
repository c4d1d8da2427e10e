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
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

# Where a process that ends writes why (`training/reward_function.py`).
GRACE = 5.0


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
    _LAST_RESORT.begin(seconds + GRACE)
    try:
        yield
    finally:
        timer.cancel()
        _LAST_RESORT.end(seconds + GRACE)


def _end(said: str, reason: Path | None) -> None:
    if reason:
        reason.write_text(said + "\n", encoding="utf-8")
    print(said, file=sys.stderr, flush=True)
    os._exit(1)


class _LastResort:
    """faulthandler's timer, of which a process has one: it runs while any call does, anew with each that begins."""

    def __init__(self) -> None:
        self._calls, self._lock = 0, threading.Lock()

    def begin(self, seconds: float) -> None:
        with self._lock:
            self._calls += 1
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)

    def end(self, seconds: float) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls:
                faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)
            else:
                faulthandler.cancel_dump_traceback_later()


_LAST_RESORT = _LastResort()
