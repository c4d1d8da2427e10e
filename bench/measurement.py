"""A row of the table, and how two things are timed side by side."""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """Ours against theirs, in seconds or `unit`; `target` is what ours / theirs should be at most, if anything."""

    name: str
    ours: float
    theirs: float
    target: float | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "met" if self.ratio <= self.target else "missed"


def peak_memory() -> float:
    """MB this process has had at most (Linux). `ru_maxrss` would also count the parent, up to the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def side_by_side(ours: Callable, theirs: Callable, repeats: int = 15) -> tuple[float, float]:
    """Median seconds of each, called by turns after one call of each to warm up."""
    ours(), theirs()
    seconds = [(_timed(ours), _timed(theirs)) for _ in range(repeats)]
    return statistics.median(one for one, _ in seconds), statistics.median(one for _, one in seconds)


def _timed(call: Callable) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, so that no row measures the kernel handing out pages (Linux).

    Filling a fresh (512 x 8, 1024) tensor costs several times an estimator's own work, or nothing, by chance.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # glibc: M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD is -1
            libc.mallopt(-3, 32 * 2**20)
            libc.mallopt(-1, 2**30)
