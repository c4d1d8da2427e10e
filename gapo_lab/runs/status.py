"""What status.json says of a run, and how a run that has stopped is resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gapo_lab.utils.text import several

STATES = ("queued", "running", "finished", "failed", "interrupted")
# Those of a run that will go on by itself.
ACTIVE = ("queued", "running")
# Those of a run that a new attempt resumes.
STOPPED = ("interrupted", "failed")
# How a state is shown on a terminal.
COLOURS = {
    "queued": "dim",
    "running": "cyan",
    "finished": "green",
    "failed": "red",
    "interrupted": "yellow",
    "broken": "red",
}


def resumption(step: int) -> str:
    """What a new attempt does, for the end of a sentence: the step it resumes from, if there is one."""
    return f"resumes from step {step}" if step else "starts anew (no checkpoint yet)"


def with_resumption(key: str, status: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Add to the status of run ``key``, which has stopped, that its next attempt resumes from ``step``.

    status.json does not say so itself: it would be wrong after the next checkpoint.
    """
    cause, own = str(status.get("cause") or ""), str(status.get("remedy") or "")
    if "last checkpoint" in own:  # written by an older version, which named no step
        own = ""
    retry = f"python -m gapo_lab retry {key}"
    if cause.startswith("pruned"):
        how = retry
    elif cause == "cancelled":
        how = f"the same command, or {retry},"
    else:
        how = "the same command"
    again = f"{how} {resumption(step)}" if status.get("attempt") else f"{how} starts it"
    if again in own:
        own = ""
    return dict(status) | {"resumes_from": step, "remedy": "; ".join(text for text in (own, again) if text)}


def resumptions(statuses: Iterable[Mapping[str, Any]]) -> str:
    """What starting runs with these statuses again does: "resumes 2 runs from steps 3 to 12, starts 1 run that
    waited"."""
    stopped = [status for status in statuses if status.get("state") in STOPPED]
    begun = [status.get("resumes_from", 0) for status in stopped if status.get("attempt")]
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
