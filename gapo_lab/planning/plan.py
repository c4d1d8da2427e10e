"""What a sweep will do, before it does it: every cell and seed, checked, with its cost. Pure but for reading.

``draft`` composes and checks the runs of a grid; ``decide`` says what will happen to one, from its run folder's
state; ``make`` puts both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gapo_lab.config import search_path
from gapo_lab.config.fast_compose import Composed, Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import RefusedWords, UserError
from gapo_lab.planning import added_keys, cost, same_but_seed
from gapo_lab.planning.cost import Expected
from gapo_lab.planning.default_data import with_data
from gapo_lab.planning.differs_from_defaults import Namer
from gapo_lab.planning.past_runs import PastRuns
from gapo_lab.planning.planned import Action, Planned
from gapo_lab.planning.spec import Spec, spec_of
from gapo_lab.planning.validation import faults
from gapo_lab.runs import naming
from gapo_lab.runs.status import RunStatus, State, resumption


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
        return sum(run.seconds_left * run.gpus for run in self.todo) / 3600

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
    return Plan(tuple(_expected(runs, measured))).decided(found)


def draft(cells: Iterable[Sequence[str]], composer: Composer | None = None) -> list[Planned]:
    """Return the runs of these cells, composed and checked; a wrong one is INVALID with the line that says why."""
    composer = composer or Composer()
    namer = Namer(composer)
    runs = same_but_seed.drafted([tuple(words) for words in cells], lambda words: _drafted(words, composer, namer))
    return _told_apart(runs)


def _drafted(words: tuple[str, ...], composer: Composer, namer: Namer) -> Planned:
    try:
        words, composed = with_data(words, composer.compose(words), composer)
    except UserError as error:
        return Planned(words, action=Action.INVALID, why="\n".join([str(error), *_others(error, composer, namer)]))
    try:
        if found := [*added_keys.problems(words), *faults(ConfigView(composed.resolved), composed.written)]:
            raise UserError("\n".join(found))
        return Planned(words, _spec(words, composed, namer), composed.resolved)
    except UserError as error:
        return Planned(words, action=Action.INVALID, why=str(error), called=_called(words, composed, namer))


def _others(refused: UserError, composer: Composer, namer: Namer) -> list[str]:
    """Return what is wrong with the words that are left without the refused ones, a line each."""
    if not isinstance(refused, RefusedWords) or not refused.rest:
        return []
    run, told = _drafted(refused.rest, composer, namer), str(refused).splitlines()
    if run.action is not Action.INVALID:
        return []
    # a value that was refused was given
    given = {f"{line.partition('=')[0]} must be given" for line in told if "=" in line}
    return [line for line in run.why.splitlines() if line not in told and line.partition(":")[0] not in given]


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
    """Return the same runs; where two cells have one name, what tells them apart is part of it from now on."""
    first = {run.spec.cell: run.spec for run in reversed(runs) if run.spec}
    specs = {cell: first[cell].as_dict() for cell in dict.fromkeys(run.spec.cell for run in runs if run.spec)}
    names = naming.cell_names(specs.values())
    added = {
        cell: dict([names[cell].rpartition(" ")[2].split("=", 1)])
        for cell, spec in specs.items()
        if names[cell] != naming.cell_name(spec)
    }
    return [
        replace(run, spec=replace(run.spec, differs={**(run.spec.differs or {}), **added[run.spec.cell]}))
        if run.spec and run.spec.cell in added
        else run
        for run in runs
    ]


def _once(runs: Iterable[Planned]) -> list[Planned]:
    """Each run key once: methods without tau make one run of several cells."""
    seen: dict[object, Planned] = {}
    for run in runs:
        seen.setdefault(run.spec.key if run.spec else run.words, run)
    return list(seen.values())


def _expected(runs: Iterable[Planned], past: PastRuns | None) -> Iterator[Planned]:
    """Return the same runs, with how long they will take; asked once of those that differ only in their seeds."""
    known: dict[int, Expected] = {}
    for run in runs:
        if run.spec is None:
            yield run
            continue
        like = run.like or run
        if id(like) not in known:
            measured = past.expected(run.spec.as_dict(), run.settings) if past else None
            known[id(like)] = measured or cost.estimated(cost.CostInputs.of(run.settings))
        yield replace(run, expected=known[id(like)])


def _decided(run: Planned, states: Mapping[str, RunStatus]) -> Planned:
    if run.spec is None:
        return run
    status = states.get(run.spec.key, RunStatus())
    action, why = decide(status)
    done = min(1.0, status.resumes_from / status.total_steps) if status.has_stopped and status.total_steps else 0.0
    return replace(run, action=action, why=why, done=done)


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
