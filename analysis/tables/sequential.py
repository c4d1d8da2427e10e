"""Claims as bets that may be looked at after every seed: E, and the differences that it leaves open. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.paper import conventions
from analysis.results.measurements import number
from analysis.statistics.inference import Comparison
from analysis.tables.paper import Results
from analysis.tables.table import DASH, Entry, Line, Table
from gapo_lab.utils.e_process import first_decided

HEAD = ("difference", "verdict", "E", "decided at", "differences left open", "seeds")


def table(results: Results, claims: int, name: str, title: str) -> Table | None:
    """Return a line a claim of this metric; None where there is none. claims: how many the study has, on all
    metrics."""
    text, lines = results.measured.text, []
    for one in results.comparisons:
        differences = by_seed(results, one) if one.is_claim and not one.is_no_result else []
        if not differences:
            continue
        found = first_decided(differences, max(claims, 1))
        left = DASH if math.isinf(found.low) else f"[{text(found.low, True)}, {text(found.high, True)}]"
        lines.append(
            Line(
                f"{conventions.method(one.method)} over {conventions.method(one.baseline)}",
                (
                    Entry(text(found.mean, True), found.mean * results.measured.scale),
                    Entry(found.verdict),
                    Entry(number(found.e, 2) if found.e < 1e4 else f"{found.e:.1e}", found.e),
                    Entry(number(found.bar, 0), found.bar),
                    Entry(left),
                    Entry(str(found.n), found.n),
                ),
            )
        )
    if not lines:
        return None
    notes = (
        "seeds may be added until E is large enough, and E looked at after each: errors are as rare as without looking "
        "(t e-process, Wang and Ramdas 2023). A claim that is decided is shown with the seeds that decided it. A "
        "difference a seed, the mean over models; five seeds are the fewest"
    )
    return Table(name, title, ("Claim",), (tuple((t, 1) for t in HEAD),), (tuple(lines),), (("", notes),), records=True)


def by_seed(results: Results, one: Comparison) -> list[float]:
    """Return the method minus the baseline for each seed that every model of the comparison has of both, the mean over
    models."""
    gaps = []
    for column in results.grid.columns:
        ours, theirs = (results.trials((algo,), column) for algo in (one.method, one.baseline))
        if ours is not None and theirs is not None and ours.values and theirs.values:
            shared = ours.values.keys() & theirs.values.keys()
            gaps.append({seed: ours.values[seed] - theirs.values[seed] for seed in shared})
    seeds: Sequence[int] = sorted(set.intersection(*map(set, gaps))) if gaps else []
    return [math.fsum(gap[seed] for gap in gaps) / len(gaps) for seed in seeds]
