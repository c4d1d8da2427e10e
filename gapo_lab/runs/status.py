"""What status.json says of a run, typed; and how a run that has stopped is resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.processes import Process
from gapo_lab.utils.text import several


class State(StrEnum):
    """How a run stands."""

    NEW = "new"  # nobody has asked for it yet: there is no status.json
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    BROKEN = "broken"  # its folder cannot be read; never written


class Cause(StrEnum):
    """Why a run has stopped, in a word or two."""

    NONE = ""
    OUT_OF_MEMORY = "out of memory"
    DISK_FULL = "disk full"
    NO_RAY = "Ray did not start"
    RAY_LOST = "Ray's processes lost each other"
    KILLED = "killed"
    CANCELLED = "cancelled"
    PRUNED = "pruned"  # by a search
    GONE = "gone"  # its process died without a message
    LOST = "lost"  # SLURM does not know its job
    TIME_LIMIT = "time limit"
    NODE_FAILURE = "node failure"
    PREEMPTED = "preempted"
    DEADLINE = "deadline"
    REFUSED = "refused"  # of older versions: SLURM did not take its job


# Those of a run that will go on by itself.
ACTIVE = (State.QUEUED, State.RUNNING)
# Those of a run that a new attempt resumes.
STOPPED = (State.INTERRUPTED, State.FAILED)
# How a state is shown on a terminal.
COLOURS = {
    State.QUEUED: "dim",
    State.RUNNING: "cyan",
    State.FINISHED: "green",
    State.FAILED: "red",
    State.INTERRUPTED: "yellow",
    State.BROKEN: "red",
}


@dataclass(frozen=True)
class RunStatus:
    """How a run stands. Times are Unix seconds, None where nothing of the kind has happened."""

    state: State = State.NEW
    cause: Cause = Cause.NONE
    # what it is doing; of one that has stopped, why
    message: str = ""
    # what a person can do before it is resumed
    remedy: str = ""
    attempt: int | None = None
    # the last step that was recorded; until there is one, where the attempt began
    step: int = 0
    total_steps: int | None = None
    # the step after which the attempt began; of a run that has stopped, after which the next one will
    resumes_from: int = 0
    # whether the job saves and ends when it is told to
    can_save: bool = False
    # whether whoever ends it wants that, and what they say of it
    save: bool = True
    ended_for: str = ""
    # who runs or queues it
    process: Process | None = None
    started: float | None = None
    updated: float | None = None
    submitted: float | None = None
    wall_seconds: float = 0.0
    # of these, those of attempts that did no step
    idle_seconds: float = 0.0
    # where on SLURM it is
    submission: str | None = None
    task: int = 0
    job: str | None = None
    node: str | None = None
    # why all of this may be out of date
    unsure: str = ""
    # what another version of this package has written
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read status.json, also one of an older version."""
        named = {name: value for name, value in raw.items() if name in _NAMES and value is not None}
        is_ours = _NOT_OTHER.issuperset(raw)
        other = {} if is_ours else {name: value for name, value in raw.items() if name not in _NOT_OTHER}
        if "cause" in named:
            named |= _ended(str(named["cause"]))
        if "last checkpoint" in str(named.get("remedy", "")):  # it named no step; `advice` does
            named["remedy"] = ""
        named["state"] = State(named.get("state", State.NEW))
        return cls._of({**named, "process": Process.from_json(raw), "other": other})

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Self:
        """Return the status with these values; a field that is not among them has the default, which its class holds.
        `cls(**values)` takes ten times as long, which counts for ten thousand runs."""
        out = object.__new__(cls)
        object.__setattr__(out, "__dict__", values)
        return out

    def to_json(self) -> dict[str, Any]:
        """Plain values for status.json, without those that say nothing."""
        said = {name: getattr(self, name) for name in _DEFAULTS}
        kept = {name: value for name, value in said.items() if value != _DEFAULTS[name] or name in ALWAYS}
        return {**self.other, **kept, **(self.process.to_json() if self.process else {})}

    def changed(self, **changes: Any) -> Self:
        """Return a copy with other values; ValueError for a state or a cause that is none, TypeError for another
        name."""
        if unknown := changes.keys() - _FIELDS:
            raise TypeError(f"a status has no {', '.join(sorted(unknown))}")
        if "state" in changes:
            changes["state"] = State(changes["state"])
        if "cause" in changes:
            changes["cause"] = Cause(changes["cause"])
        return self._of({**self.__dict__, **changes})

    @property
    def is_active(self) -> bool:
        """Whether it will go on by itself."""
        return self.state in ACTIVE

    @property
    def has_stopped(self) -> bool:
        """Whether a new attempt is needed to go on."""
        return self.state in STOPPED

    @property
    def is_gone(self) -> bool:
        """Whether it says to be queued or running by a process of this machine that has ended."""
        return self.is_active and self.process is not None and self.process.is_gone()

    def advice(self, key: str, root: Path | None = None) -> str:
        """Return what a person can do about run ``key``, and where it resumes; '' unless it has stopped.

        root: where the runs lie.
        """
        if not self.has_stopped:
            return self.remedy
        how = "the same command"
        if self.cause in (Cause.PRUNED, Cause.CANCELLED):
            retry = lab_command("retry", key, root=root)
            how = retry if self.cause is Cause.PRUNED else f"{how}, or {retry},"
        again = f"{how} {resumption(self.resumes_from)}" if self.attempt else f"{how} starts it"
        return "; ".join(text for text in (self.remedy, again) if text)


# of a run without a folder
NEW = RunStatus()
# in every status.json: a person looks for them
ALWAYS = ("state", "message", "step")
_DEFAULTS = {one.name: one.default for one in fields(RunStatus) if one.name not in ("process", "other")}
_FIELDS = frozenset(one.name for one in fields(RunStatus))
_NAMES = frozenset(_DEFAULTS)
_NOT_OTHER = _NAMES | Process.NAMES
_CAUSES = frozenset(Cause)


def _ended(cause: str) -> dict[str, Any]:
    """Return the fields of a status whose file names this cause."""
    if cause.startswith(Cause.PRUNED) and cause != Cause.PRUNED:  # "pruned at step 20"
        return {"cause": Cause.PRUNED, "ended_for": cause}
    return {"cause": Cause(cause) if cause in _CAUSES else Cause.NONE}


def resumption(step: int) -> str:
    """Return what a new attempt does, for the end of a sentence: the step it resumes from, if there is one."""
    return f"resumes from step {step}" if step else "starts anew (no checkpoint yet)"


def resumptions(statuses: Iterable[RunStatus]) -> str:
    """Return what starting these runs again does: "resumes 2 runs from steps 3 to 12, starts 1 run that waited"."""
    stopped = [status for status in statuses if status.has_stopped]
    begun = [status.resumes_from for status in stopped if status.attempt]
    steps = sorted(step for step in begun if step)
    parts = []
    if steps:
        span = f"step {steps[0]}" if steps[0] == steps[-1] else f"steps {steps[0]} to {steps[-1]}"
        parts.append(f"resumes {several(len(steps), 'run')} from {span}")
    if anew := len(begun) - len(steps):
        parts.append(f"starts {several(anew, 'run')} anew (no checkpoint yet)")
    if waited := len(stopped) - len(begun):
        parts.append(f"starts {several(waited, 'run')} that waited")
    return ", ".join(parts)
