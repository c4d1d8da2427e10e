"""Which metrics a study's page in MLflow shows: of what its runs are about, on their test sets.

A measure on a set is called `id/em` here. What is shown is kept in a tag of the experiment, where runs add to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from gapo_lab.errors import UserError
from gapo_lab.runs import measures
from gapo_lab.runs.folder import RunFolder

# The config key of the measure that was asked for.
METRIC = "metric"
# What a page shows whose runs have measured nothing yet.
USUAL = ("id/em", "ood/em")
SETTINGS = ("metrics.`seeds`", "params.`seed`", "params.`tau`", "params.`lr`", "params.`steps`")
TRAINING = ("train/reward", "actor/pg_clipfrac", "actor/entropy", "perf/throughput")


def of_run(summary: Mapping[str, object] | None, names: Iterable[str], metric: str | None) -> list[str]:
    """Return what a run is about on each test set, from its summary, or from the names of its metrics until then.

    metric: the measure that was asked for. The dev set is no test set.
    """
    if summary and (about := measures.of_summary(summary)):
        sets = measures.sets_of(summary)
    else:
        sets = list(measures.measures(names := list(names)))
        try:
            about = measures.main_measure(names, metric)
        except UserError:  # told where it is read
            about = None
    if not about:
        return []
    tests = [name for name in sets if name != measures.DEV]
    # reports show what is expected of exact match, where it is measured
    there = {*(summary or ()), *names}
    plain = [f"{name}/{about}" for name in tests]
    expected = [measures.expected(one) for one in plain]
    return list(dict.fromkeys([*plain, *(one for one in expected if {f"best/{one}", f"val/{one}"} & there)]))


def of_folder(folder: RunFolder) -> list[str]:
    """Return the same of a run folder."""
    summary = folder.summary()
    names = {} if summary else dict.fromkeys(name for at in folder.merged_metrics().values() for name in at)
    return of_run(summary, names, folder.config_values([METRIC]).get(METRIC))


def joined(kept: str | None, new: Sequence[str]) -> str:
    """Return the tag with what a run adds to it."""
    return json.dumps(list(dict.fromkeys([*(json.loads(kept) if kept else []), *new])))


def shown(kept: str | None) -> list[str]:
    """Return what the tag says is shown: what is expected of exact match before what is sampled, as in reports."""
    measured = (json.loads(kept) if kept else []) or list(USUAL)
    return sorted(measured, key=lambda one: not one.endswith(f"/{measures.EXPECTED}"))


def columns(measured: Sequence[str]) -> list[str]:
    """Return the columns of the list of runs: best and last on the first set, best on the others; settings."""
    first, *others = measured
    names = (f"best/{first}", f"final/{first}", *(f"best/{one}" for one in others))
    return [*(f"metrics.`{name}`" for name in names), *SETTINGS]


def charts(measured: Sequence[str]) -> dict[str, list[str]]:
    """Map each section to its charts: curves of what is measured, as sampled and greedily, and of training."""
    is_share = all(measures.is_share(one.split("/", 1)[1]) for one in measured)
    sampled = [one for one in measured if not one.endswith(f"/{measures.EXPECTED}")]
    curves = [*(f"val/{one}" for one in measured), *(f"val/{one}{measures.GREEDY}" for one in sampled)]
    return {"Accuracy" if is_share else "Validation": curves, "Training": list(TRAINING)}
