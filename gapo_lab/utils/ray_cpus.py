"""The CPUs that Ray is told a node has. verl books them by number, whatever the machine has, and waits for ever for
what is missing."""

from __future__ import annotations

# A worker's own, and those of the actors that start one after another: agent loops, rewards, servers.
PER_WORKER, STARTING = 3, 17
# The queue's storage units (verl's default), its controller, and one for whatever is being started.
STORAGE_UNITS, CONTROLLER, STARTS = 8, 1, 1


def cpus(workers: int) -> int:
    """Return what Ray is told of a node with so many workers, whatever it has: 44 for eight."""
    return PER_WORKER * workers + CONTROLLER + STARTING + 2


def booked(workers: int, storage_units: int = STORAGE_UNITS) -> int:
    """Return what verl books at the least on one node: 34 for eight workers, 22 for four."""
    return PER_WORKER * workers + storage_units + CONTROLLER + STARTS
