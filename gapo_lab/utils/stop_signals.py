"""Signals as exceptions: SIGTERM and a closed terminal raise Interrupted, as Ctrl-C raises KeyboardInterrupt."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gapo_lab.errors import Interrupted

WHY = {signal.SIGTERM: "told to end", signal.SIGHUP: "its terminal was closed"}


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise Interrupted inside the block."""
    before = signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def counting_signals() -> Iterator[Sequence[int]]:
    """Let Ctrl-C and SIGTERM interrupt nothing inside the block; the list of those that have come."""
    found: list[int] = []
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        signal.signal(name, lambda number, _frame: found.append(number))
    try:
        yield found
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def raise_on_signals() -> None:
    """Let SIGTERM and, unless it is ignored (nohup), SIGHUP raise Interrupted from now on."""
    signal.signal(signal.SIGTERM, raise_interrupted)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, raise_interrupted)


def raise_interrupted(number: int, _frame: object) -> None:
    """Handle a signal by raising Interrupted."""
    raise Interrupted(f"{WHY[signal.Signals(number)]} ({signal.Signals(number).name})")
