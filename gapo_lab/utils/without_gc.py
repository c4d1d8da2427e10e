"""Runs a block without Python's search for circles of objects, which a short command over many runs has no use for."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """Do not look for circles in the block: each look goes over all that was read, half the time of a status."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
