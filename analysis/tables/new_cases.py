"""Claims over seeds and cases at once, where the runs kept what they answered: a line a comparison. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from analysis.paper import conventions
from analysis.results.measurements import Trials
from analysis.statistics.crossed import crossed
from analysis.statistics.two_samples import Difference, welch
from analysis.tables.paper import Results
from analysis.tables.statistics import p_text, told
from analysis.tables.table import DASH, Entry, Line, Table

Cases = Mapping[str, float]  # {task: value}
HEAD = ("difference", "95% interval, these cases", "95% interval, new cases", "p, new cases", "seeds", "cases")


def cells_needed(results: Results) -> set[str]:
    """Return the cells whose cases are worth reading: those of the comparisons that have a sentence, model by model."""
    return {trials.cell.id for one in told(results) if one.model for trials in _both(results, one.model, one)}


def table(results: Results, cases: Mapping[str, Mapping[int, Cases]], name: str, title: str) -> Table | None:
    """cases: {cell id: {seed: cases}}. None where no comparison has all of its seeds' cases."""
    lines = []
    for one in told(results):
        both = _both(results, one.model, one) if one.model else []
        kept = [_matrix(cases.get(trials.cell.id, {}), trials) for trials in both]
        found = [matrix for matrix in kept if matrix is not None]
        tasks = sorted(set.intersection(*(set(names) for names, _ in found))) if len(found) == 2 else []
        if not tasks:
            continue
        ours, theirs = (values[:, [names.index(task) for task in tasks]] for names, values in found)
        where = f"{one.model}: {conventions.method(one.method)} over {conventions.method(one.baseline)}"
        lines.append(Line(where, _entries(results, ours, theirs)))
    if not lines:
        return None
    notes = (
        "Values of the last validation. New cases: error over seeds and cases, V = s_seed²/n + s_case²/N - s_res²/(nN) "
        "(Cameron, Gelbach and Miller 2011). Its interval is about cases like these; the other is about these cases "
        "only"
    )
    return Table(
        name,
        title,
        ("Comparison",),
        (tuple((text, 1) for text in HEAD),),
        (tuple(lines),),
        (("", notes),),
        records=True,
    )


def _both(results: Results, model: str, one) -> list[Trials]:
    found = [results.trials((algo,), (model,)) for algo in (one.method, one.baseline)]
    return [trials for trials in found if trials is not None]


def _matrix(by_seed: Mapping[int, Cases], trials: Trials) -> tuple[list[str], np.ndarray] | None:
    """Return the tasks that all seeds answered, and (seeds, tasks); None where a seed's are missing."""
    if not trials.values or not all(by_seed.get(seed) for seed in trials.values):
        return None
    tasks = sorted(set.intersection(*(set(by_seed[seed]) for seed in trials.values)))
    return tasks, np.array([[by_seed[seed][task] for task in tasks] for seed in sorted(trials.values)])


def _entries(results: Results, ours: np.ndarray, theirs: np.ndarray) -> tuple[Entry, ...]:
    text, scale = results.measured.text, results.measured.scale
    seeds, both = welch(ours.mean(axis=1).tolist(), theirs.mean(axis=1).tolist()), crossed(ours, theirs)

    def interval(one: Difference) -> Entry:
        low, high = one.interval
        return Entry(DASH) if math.isnan(low) else Entry(f"[{text(low, True)}, {text(high, True)}]")

    return (
        Entry(text(both.delta, True), both.delta * scale),
        interval(seeds),
        interval(both),
        Entry(DASH) if math.isnan(both.p) else Entry(p_text(both.p), both.p),
        Entry(f"{len(ours)} + {len(theirs)}", len(ours) + len(theirs)),
        Entry(f"{ours.shape[1]:,}", ours.shape[1]),
    )
