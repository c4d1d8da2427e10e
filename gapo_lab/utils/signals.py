"""Signals as exceptions."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gapo_lab.errors import Interrupted


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM raises Interrupted inside the block, as Ctrl-C raises KeyboardInterrupt."""
    before = signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def raise_interrupted(*_: object) -> None:
    """Handle a signal by raising Interrupted."""
    raise Interrupted("told to stop")
