"""Shared memory that does not outlive its run.

A segment of POSIX shared memory stays until someone unlinks it. Its creator does so when it ends by itself; vLLM's
processes do not: they are killed. So each segment is written down before it is made, in the scratch folder of its
attempt, and whoever clears that folder removes what is written there. Nothing is looked for by its name.
"""

from __future__ import annotations

import os
import secrets
from multiprocessing import shared_memory
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

# The names of the segments, one a line.
RECORD = "shared_memory"
# Where Linux shows segments as files.
SEGMENTS = Path("/dev/shm")


class RecordedSharedMemory(SharedMemory):
    """A segment whose name is written down before it is made."""

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0, **more):
        if create:
            name = name or f"psm_{secrets.token_hex(8)}"
            with open(_record, "a", encoding="utf-8") as record:
                record.write(f"{name}\n")
        super().__init__(name, create, size, **more)


_record = Path(os.devnull)


def record_into(folder: Path) -> None:
    """Record every segment that this process makes from now on through `multiprocessing.shared_memory`."""
    global _record
    _record = folder / RECORD
    shared_memory.SharedMemory = RecordedSharedMemory  # type: ignore[misc]


def remove_recorded(folder: Path) -> None:
    """Remove the segments that were recorded in the folder and are still there. The processes must have ended."""
    record = folder / RECORD
    if record.exists():
        for name in record.read_text(encoding="utf-8").split():
            (SEGMENTS / Path(name).name).unlink(missing_ok=True)
