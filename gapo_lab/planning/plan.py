"""What a sweep will do, before it does it: every cell and seed, checked, with its cost. Pure but for reading.

``draft`` composes and checks the runs of a grid; ``decide`` says what will happen to one, from its run folder's
state; ``make`` puts both together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from gapo_lab.config import search_path
from gapo_lab.config.fast_compose import Composed, Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.planning import cost
from gapo_lab.planning.spec import Spec, spec_of
from gapo_lab.planning.validation import check_settings
from gapo_lab.runs.status import ACTIVE, resumption


class Action(StrEnum):
    """What happens to a run when the plan is carried out."""

    RUN = "run"
    SKIP = "skip"
    ATTACH = "attach"
    RETRY = "retry"
    INVALID = "invalid"


@dataclass(frozen=True)
class Planned:
    """One run of a plan. ``spec`` and ``settings`` are None where it is invalid; ``seconds`` is what is expected."""

    words: tuple[str, ...]
    spec: Spec | None = None
    settings: Mapping[str, Any] | None = None
    action: Action = Action.RUN
    why: str = ""
    seconds: float | None = None
    measured: bool = False

    @property
    def cell(self) -> str:
        """Its name without the seed; the words where there is no spec."""
        if self.spec is None:
            return " ".join(word for word in self.words if not word.startswith("seed="))
        return self.spec.name.rpartition(" seed=")[0]

    @property
    def gpus(self) -> int:
        return cost.gpus(self.settings) if self.settings else 0

    @property
    def shape(self) -> tuple:
        """The resources it asks for: runs that share them go into one job array."""
        return tuple((k, repr(v)) for k, v in sorted(self.settings.items()) if k.startswith("cluster."))


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
        """Expected of what will be started; runs of unknown length are left out (see ``unknown``)."""
        return sum(run.seconds * run.gpus for run in self.todo if run.seconds is not None) / 3600

    @property
    def unknown(self) -> int:
        """How many of the runs to start have no expected length."""
        return sum(run.seconds is None for run in self.todo)

    def decided(self, states: Mapping[str, Mapping[str, Any]]) -> Plan:
        """The same runs, with what happens to them where their folders are in ``states`` (key -> status)."""
        return Plan(tuple(_decided(run, states) for run in self.runs))


def make(
    drafted: Iterable[Planned],
    states: Callable[[list[str]], Mapping[str, Mapping[str, Any]]] = lambda keys: {},
    measured: Mapping[tuple, float] | None = None,
) -> Plan:
    """The plan of these runs (see ``draft``).

    states: from run keys to the statuses of those that have a run folder.
    measured: expected seconds by ``cost.shape``, from finished runs.
    """
    runs = _once(drafted)
    found = states([run.spec.key for run in runs if run.spec])
    return Plan(tuple(_expected(run, measured or {}) for run in runs)).decided(found)


def draft(cells: Iterable[Sequence[str]], composer: Composer | None = None) -> list[Planned]:
    """The runs of these cells, composed and checked; a wrong one is INVALID with the line that says why."""
    composer = composer or Composer()
    return [checked(tuple(words), partial(composer.compose, words)) for words in cells]


def checked(words: tuple[str, ...], compose: Callable[[], Composed]) -> Planned:
    """The run of ``words``; INVALID with the line that says why where it cannot be composed or cannot work."""
    try:
        composed = compose()
        _complete(composed)
        check_settings(ConfigView(composed.resolved))
        overrides = (*words, *search_path.as_words())
        return Planned(words, spec_of(composed.written, composed.resolved, overrides), composed.resolved)
    except UserError as error:
        return Planned(words, action=Action.INVALID, why=str(error))


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


def _expected(run: Planned, measured: Mapping[tuple, float]) -> Planned:
    if run.spec is None:
        return run
    known = measured.get(cost.shape({**vars(run.spec), "science": run.spec.science}))
    seconds = cost.formula(run.settings) if known is None else known
    return replace(run, seconds=seconds, measured=known is not None)


def _decided(run: Planned, states: Mapping[str, Mapping[str, Any]]) -> Planned:
    if run.spec is None:
        return run
    action, why = decide(states.get(run.spec.key))
    return replace(run, action=action, why=why)


def decide(status: Mapping[str, Any] | None) -> tuple[Action, str]:
    """What happens to a run whose folder has this status (None: no folder), and a word on why."""
    state = (status or {}).get("state")
    if state == "finished":
        return Action.SKIP, "finished"
    if state in ACTIVE:
        return Action.ATTACH, f"{state}{_where(status)}"
    if state == "failed":
        again = f"resumes from step {status['resumes_from']}" if status.get("resumes_from") else ""
        return Action.RETRY, "; ".join(text for text in (_first_line(status), again) if text)
    if state == "interrupted":
        return Action.RUN, resumption(status.get("resumes_from", 0)) if status.get("attempt") else ""
    if state == "broken":
        return Action.INVALID, _first_line(status, 400)  # the remedy stands at its end
    return Action.RUN, ""


def _where(status: Mapping[str, Any]) -> str:
    return f" as job {status['job']}" if status.get("job") else ""


def _first_line(status: Mapping[str, Any], longest: int = 100) -> str:
    text = str(status.get("cause") or status.get("message") or "").strip()
    return text.splitlines()[-1][:longest] if text else ""
