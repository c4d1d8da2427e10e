"""How long a thread has waited for something other than a processor."""

from __future__ import annotations

import time


def waited() -> float:
    """Return the seconds for which this thread has waited, as for a disk, up to a start that is not said: a difference
    counts. On Linux, the time in which it could run and others had the processors is no waiting."""
    return time.perf_counter() - time.thread_time() - _in_line()


def _in_line() -> float:
    """Return the seconds that this thread could run and others did; 0 where the kernel does not say."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
