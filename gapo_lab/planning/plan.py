"""What a sweep will do, before it does it: every cell and seed, checked, with its cost. Pure but for reading.

``draft`` composes and checks the runs of a grid; ``decide`` says what will happen to one, from its run folder's
state; ``make`` puts both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from gapo_lab.config import search_path
from gapo_lab.config.fast_compose import Composed, Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.planning import added_keys, cost, resources
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.planning.cost import UNKNOWN, Expected
from gapo_lab.planning.default_data import with_data
from gapo_lab.planning.differs_from_defaults import Namer
from gapo_lab.planning.past_runs import PastRuns
from gapo_lab.planning.spec import Spec, spec_of
from gapo_lab.planning.validation import faults
from gapo_lab.runs import naming
from gapo_lab.runs.status import RunStatus, State, resumption


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

    ``called``: the name of its cell where there is no spec.
    """

    words: tuple[str, ...]
    spec: Spec | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    action: Action = Action.RUN
    why: str = ""
    expected: Expected = UNKNOWN
    called: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it will take; None where nobody knows."""
        return self.expected.seconds

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

    @cached_property
    def cluster(self) -> ClusterConfig:
        """Where a run that is valid happens, and what it asks for."""
        return resources.filled(ClusterConfig.of(self.settings), self.settings)

    @property
    def grace(self) -> float:
        """Seconds before its time limit at which it must be warned, to save."""
        said = self.cluster.grace
        return resources.grace_seconds(self.settings, self.seconds, self.measured) if said is None else said

    @property
    def gpus(self) -> int:
        return cost.gpus(self.settings) if self.settings else 0

    @property
    def resources(self) -> tuple:
        """What it asks the cluster for: runs that share them go into one job array."""
        return tuple((k, repr(v)) for k, v in sorted(self.cluster.to_json().items()))


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep, in the order of the grid; each run key once."""

    runs: tuple[Planned, ...]

    def doing(self, *actions: Action) -> list[Planned]:
        return [run for run in self.runs if run.action in actions]

    @property
    def todo(self) -> list[Planned]:
        """What will be started."""
        return self.doing(Action.RUN, Action.RETRY)

    @property
    def counts(self) -> Counter[Action]:
        return Counter(run.action for run in self.runs)

    def gpu_hours(self) -> float:
        """Return the expected time of what will be started; runs of unknown length are left out (see ``unknown``)."""
        return sum(run.seconds * run.gpus for run in self.todo if run.seconds is not None) / 3600

    @property
    def unknown(self) -> int:
        """How many of the runs to start have no expected length."""
        return sum(run.seconds is None for run in self.todo)

    def decided(self, states: Mapping[str, RunStatus]) -> Plan:
        """Return the same runs, with what happens to them where their folders are in ``states`` (key -> status)."""
        return Plan(tuple(_decided(run, states) for run in self.runs))


def make(
    drafted: Iterable[Planned],
    states: Callable[[list[str]], Mapping[str, RunStatus]] = lambda keys: {},
    measured: PastRuns | None = None,
) -> Plan:
    """Return the plan of these runs (see ``draft``).

    states: from run keys to the statuses of those that have a run folder.
    measured: the finished runs that say how long these will take.
    """
    runs = _once(drafted)
    found = states([run.spec.key for run in runs if run.spec])
    return Plan(tuple(_expected(run, measured) for run in runs)).decided(found)


def draft(cells: Iterable[Sequence[str]], composer: Composer | None = None) -> list[Planned]:
    """Return the runs of these cells, composed and checked; a wrong one is INVALID with the line that says why."""
    composer = composer or Composer()
    namer = Namer(composer)
    return _told_apart([_drafted(tuple(words), composer, namer) for words in cells])


def _drafted(words: tuple[str, ...], composer: Composer, namer: Namer) -> Planned:
    try:
        words, composed = with_data(words, composer.compose(words), composer)
    except UserError as error:
        return Planned(words, action=Action.INVALID, why=str(error))
    try:
        _complete(composed)
        if found := [*added_keys.problems(words), *faults(ConfigView(composed.resolved), composed.written)]:
            raise UserError("\n".join(found))
        return Planned(words, _spec(words, composed, namer), composed.resolved)
    except UserError as error:
        return Planned(words, action=Action.INVALID, why=str(error), called=_called(words, composed, namer))


def _spec(words: tuple[str, ...], composed: Composed, namer: Namer) -> Spec:
    overrides = (*words, *search_path.as_words())
    return namer.named(spec_of(composed.written, composed.resolved, overrides), composed)


def _called(words: tuple[str, ...], composed: Composed, namer: Namer) -> str:
    """Return the name of a cell that is invalid; with the overrides themselves where one has no valid value."""
    try:
        return naming.cell_name(_spec(words, composed, namer).as_dict())
    except (UserError, ValueError, TypeError, OSError):
        overrides = naming.given_overrides({"overrides": words})
        named = [str(composed.resolved.get(f"{group}.name")) for group in ("model", "algo")]
        others = [f"{k}={v}" for k, v in overrides.items() if k not in ("model", "algo", "seed")]
        return " ".join([*named, *others])


def _told_apart(runs: list[Planned]) -> list[Planned]:
    """Return the same runs; where two cells have one name, the beginnings of their ids are part of it from now on."""
    specs = {run.spec.cell: run.spec.as_dict() for run in runs if run.spec}
    names = naming.cell_names(specs.values())
    added = {
        cell: {"cell": names[cell].rpartition(" cell=")[2]}
        for cell, spec in specs.items()
        if names[cell] != naming.cell_name(spec)
    }
    return [
        replace(run, spec=replace(run.spec, differs={**(run.spec.differs or {}), **added[run.spec.cell]}))
        if run.spec and run.spec.cell in added
        else run
        for run in runs
    ]


def _complete(composed: Composed) -> None:
    if "???" in composed.resolved.values():
        key = next(key for key, value in composed.resolved.items() if value == "???")
        raise UserError(f"{key} must be given: {key}=VALUE")


def _once(runs: Iterable[Planned]) -> list[Planned]:
    """Each run key once: methods without tau make one run of several cells."""
    seen: dict[object, Planned] = {}
    for run in runs:
        seen.setdefault(run.spec.key if run.spec else run.words, run)
    return list(seen.values())


def _expected(run: Planned, past: PastRuns | None) -> Planned:
    if run.spec is None:
        return run
    known = past.expected(run.spec.as_dict(), run.settings) if past else None
    return replace(run, expected=known or cost.estimated(cost.CostInputs.of(run.settings)))


def _decided(run: Planned, states: Mapping[str, RunStatus]) -> Planned:
    if run.spec is None:
        return run
    action, why = decide(states.get(run.spec.key, RunStatus()))
    return replace(run, action=action, why=why)


def decide(status: RunStatus) -> tuple[Action, str]:
    """Return what happens to a run whose folder has this status, and a word on why."""
    match status.state:
        case State.FINISHED:
            return Action.SKIP, "finished"
        case State.QUEUED | State.RUNNING:
            where = f" as job {status.job}" if status.job else ""
            return Action.ATTACH, f"{status.state}{where}"
        case State.FAILED:
            again = f"resumes from step {status.resumes_from}" if status.resumes_from else ""
            return Action.RETRY, "; ".join(text for text in (_last_line(status), again) if text)
        case State.INTERRUPTED:
            return Action.RUN, resumption(status.resumes_from) if status.attempt else ""
        case State.BROKEN:
            return Action.INVALID, _last_line(status, 400)  # the remedy stands at its end
    return Action.RUN, ""


def _last_line(status: RunStatus, longest: int = 100) -> str:
    lines = str(status.cause or status.message).strip().splitlines()
    return lines[-1][:longest] if lines else ""
