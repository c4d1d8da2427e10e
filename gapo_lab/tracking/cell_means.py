"""The parent run of a cell carries the means over its finished runs, so that MLflow's charts open on them."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

SEEDS = "seeds"
# Of the summary, what a cell is compared by, beside its accuracies.
MEANS = ("mean/perf/throughput", "wall_seconds")
# These, on any set: of exact match as sampled, as expected, and at the end greedily; all of any other measure.
_ACCURACY = re.compile(
    r"(final|best)/[^/]+/(?!em_|step(_greedy)?$)[^/]+|(final|best)/[^/]+/em_expected|final/[^/]+/em_greedy"
)


def compared(names: Iterable[str]) -> list[str]:
    """Return the numbers of a cell's runs, by name, that a mean is taken of."""
    return [*sorted({name for name in names if _ACCURACY.fullmatch(name)}), *MEANS]


def log_means(client: MlflowClient, experiment: str, cell: str) -> None:
    """Log the means over the finished runs of the parent run `cell`."""
    runs = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{cell}' and attributes.status = 'FINISHED'")
    counted = client.get_run(cell).data.metrics.get(SEEDS, 0)
    log_means_of(client, cell, [run.data.metrics for run in runs], counted)


def log_means_of(client: MlflowClient, cell: str, runs: Sequence[Mapping[str, float]], counted: float) -> None:
    """Log the means over runs, given as their numbers by name, at the step that is their number.

    MLflow cannot take a point back: each number of runs has its own step, and charts show the last. A cell
    whose runs are counted already is left alone.
    """
    from mlflow.entities import Metric

    if len(runs) <= counted:
        return
    now, n = int(time.time() * 1000), len(runs)
    found = {name: [run[name] for run in runs if name in run] for name in compared(chain.from_iterable(runs))}
    means = {name: statistics.fmean(values) for name, values in found.items() if len(values) == n}
    client.log_batch(cell, metrics=[Metric(k, v, now, n) for k, v in {SEEDS: float(n), **means}.items()])
