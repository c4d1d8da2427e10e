"""The interface of a source of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from analysis.results.curves import Curve
from analysis.results.runs import Run


class Source(Protocol):
    """Where runs come from."""

    uri: str

    def studies(self) -> dict[str, str]:
        """{name: experiment id} of the studies that are not deleted."""

    def runs(self, studies: Mapping[str, str]) -> list[Run]:
        """All runs of these experiments that are not deleted."""

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        """{run id: curve} of one metric; a run that never logged it is absent."""

    def metrics(self, runs: Sequence[str]) -> list[str]:
        """The names of what these runs logged."""
