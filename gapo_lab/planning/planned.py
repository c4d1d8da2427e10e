"""One run of a plan: its words, what they make, and what will happen to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from gapo_lab.planning import cost, resources
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.planning.cost import UNKNOWN, Expected
from gapo_lab.planning.spec import Spec
from gapo_lab.runs import naming
from gapo_lab.utils.dotted import below


class Action(StrEnum):
    """What happens to a run when the plan is carried out."""

    RUN = "run"
    SKIP = "skip"
    ATTACH = "attach"
    RETRY = "retry"
    INVALID = "invalid"


# Of a run that has no name, so many words stand for all.
NAMED = 8


@dataclass(frozen=True)
class Planned:
    """One run of a plan. Without ``spec`` and ``settings`` where it is invalid; ``expected`` is how long it will take.

    ``called``: the name of its cell where there is no spec. ``done``: the share of its steps that is done. ``like``: a
    run that differs in its seed alone.
    """

    words: tuple[str, ...]
    spec: Spec | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    action: Action = Action.RUN
    why: str = ""
    expected: Expected = UNKNOWN
    called: str = ""
    done: float = 0.0
    like: Planned | None = field(default=None, compare=False, repr=False)

    @property
    def seconds(self) -> float | None:
        """How long it will take; None where nobody knows."""
        return self.expected.seconds

    @property
    def seconds_left(self) -> float:
        """How long it will take from where it resumes; 0 where nobody knows."""
        return (self.seconds or 0.0) * (1 - self.done)

    @property
    def measured(self) -> bool:
        """Whether that was measured in finished runs."""
        return bool(self.expected.runs)

    @property
    def is_exact(self) -> bool:
        """Whether those were of the same size."""
        return self.measured and not self.expected.scaled

    @property
    def valid_spec(self) -> Spec:
        """The spec of a run that is valid, as those that are started are."""
        if self.spec is None:
            raise ValueError(f"{self.name} is invalid: {self.why}")
        return self.spec

    @property
    def key(self) -> str:
        """The run key of a run that is valid."""
        return self.valid_spec.key

    @property
    def cell(self) -> str:
        """What the runs of its cell share and no other: the cell's id, or its overrides where it is invalid."""
        return self.spec.cell if self.spec else self.called or " ".join(self._overrides)

    @property
    def _overrides(self) -> list[str]:
        return [word for word in self.words if not word.startswith("seed=")]

    @property
    def name(self) -> str:
        """The name of its cell; the first overrides without the seed where they cannot be composed."""
        if self.spec is None:
            more = len(self._overrides) - NAMED
            return self.called or " ".join(
                [*self._overrides[:NAMED], *([f"and {more} more words"] if more > 0 else [])]
            )
        return naming.cell_name(self.spec.as_dict())

    def node(self, name: str) -> dict[str, Any]:
        """Return the settings of a node of its configuration, such as `data`."""
        return below(self.settings, name)

    @cached_property
    def cluster(self) -> ClusterConfig:
        """Where a run that is valid happens, and what it asks for."""
        return self.like.cluster if self.like else resources.filled(ClusterConfig.of(self.settings), self.settings)

    @property
    def grace(self) -> float:
        """Seconds before its time limit at which it must be warned, to save."""
        said = self.cluster.grace
        return resources.grace_seconds(self.settings, self.seconds, self.measured) if said is None else said

    @cached_property
    def gpus(self) -> int:
        if self.like:
            return self.like.gpus
        return cost.gpus(self.settings) if self.settings else 0

    @cached_property
    def resources(self) -> tuple:
        """What it asks the cluster for: runs that share them go into one job array."""
        return (
            self.like.resources if self.like else tuple((k, repr(v)) for k, v in sorted(self.cluster.to_json().items()))
        )


def one_each(runs: Iterable[Planned]) -> list[Planned]:
    """Return one of those that differ only in their seeds."""
    return list({id(run.like or run): run for run in runs}.values())
