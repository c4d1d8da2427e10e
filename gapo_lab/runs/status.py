"""The states of a run."""

from __future__ import annotations

STATES = ("queued", "running", "finished", "failed", "interrupted")
# Those of a run that will go on by itself.
ACTIVE = ("queued", "running")
# How a state is shown on a terminal.
COLOURS = {
    "queued": "dim",
    "running": "cyan",
    "finished": "green",
    "failed": "red",
    "interrupted": "yellow",
    "broken": "red",
}
