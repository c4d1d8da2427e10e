"""The job arrays of runs: those that ask for the same resources, and what each array asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gapo_lab.launch import slurm
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.planning.planned import Planned


def of(runs: Sequence[Planned]) -> list[tuple[list[Planned], ClusterConfig]]:
    """Return runs that ask for the same resources, cut to the largest array, and what each array asks for: its share of
    `max_parallel`, and the longest time to save. Runs of this machine are never cut."""
    alike: dict[tuple, list[Planned]] = {}
    for run in runs:
        alike.setdefault(run.resources, []).append(run)
    out = []
    for same in alike.values():
        cluster = same[0].cluster
        if cluster.is_local:
            out.append((same, cluster))
            continue
        size = min(cluster.array_size or len(same), slurm.largest_array())
        arrays = [same[i : i + size] for i in range(0, len(same), size)]
        for number, array in enumerate(arrays):
            share = max(1, (cluster.max_parallel + number) // len(arrays))
            out.append((array, replace(cluster, max_parallel=share, grace=max(run.grace for run in array))))
    return out
