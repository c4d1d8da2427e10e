"""What a method may ask for beyond rewards and groups, and verl does not pass on to an estimator.

The trainer puts it here around verl's computation of the advantages, which happens in its own process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BatchFacts:
    """About the rows of one batch, in their order.

    step: the training step. seed: the run's. order: each row's number among the rollouts of its prompt.
    extras: the numbers that the reward function returned beside the score, by name.
    """

    step: int = 0
    seed: int = 0
    order: Sequence[int] | None = None
    extras: Mapping[str, Sequence[float]] = field(default_factory=dict)


_CURRENT: ContextVar[BatchFacts | None] = ContextVar("batch_facts", default=None)


def current() -> BatchFacts:
    """Return the facts of the batch whose advantages are being computed."""
    return _CURRENT.get() or BatchFacts()


@contextmanager
def about(facts: BatchFacts) -> Iterator[None]:
    """Let `current()` give `facts` for the time of the block."""
    token = _CURRENT.set(facts)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def rollout_number(key: str) -> int:
    """Return the number of a rollout among those of its prompt, from verl's key `uid_session_index`."""
    return int(key.rsplit("_", 2)[1])


def numbers_by_name(infos: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the reward's extra values of each row -> a list for each name that every row has as a number."""
    names = set(infos[0]) if infos else set()
    for info in infos:
        names = {name for name in names if isinstance(info.get(name), (int, float))}
    return {name: [float(info[name]) for info in infos] for name in sorted(names)}
