"""The interface of a source of runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from analysis.results.curves import Curve
from analysis.results.runs import Run

# What a summary says of a test set begins so.
SUMMARISED = ("first/", "final/", "best/")


class Source(Protocol):
    """Where runs come from."""

    @property
    def place(self) -> str:
        """The folder or address, as a message names it."""

    def studies(self) -> dict[str, str]:
        """{name: what the source calls it} of the studies that are not deleted."""

    def runs(self, studies: Mapping[str, str], keys: Collection[str] | None = None) -> list[Run]:
        """All runs that these studies asked for first, or those of them with these keys."""

    def problems(self) -> Sequence[str]:
        """Return a line for each run that could not be read."""

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        """Return {the run's id: curve} of one metric; a run that never logged it is absent."""

    def metrics(self, runs: Sequence[str]) -> list[str]:
        """Return the names of what these runs logged."""

    def summarised(self, runs: Sequence[str]) -> list[str]:
        """Return the names of what the summaries of these runs say of their test sets: `best/id/em`, ..."""
