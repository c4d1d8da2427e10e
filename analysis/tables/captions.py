"""Captions of tables, and verdicts in words."""

from __future__ import annotations

from analysis.results.measurements import Measured
from analysis.tables import statistics
from analysis.tables.paper import Results

SET = {"id": "the test set", "ood": "the OOD set"}


def title(one: Measured) -> str:
    parts = one.metric.split("/")
    if len(parts) == 3 and parts[0] == "val" and parts[1] in SET and parts[2].startswith("em"):
        greedy = ", greedy" if parts[2].endswith("_greedy") else ""
        return f"Exact match accuracy (%) on {SET[parts[1]]}{greedy}"
    return f"{one.metric}{' (%)' if one.is_share else ''}"


def trials(results: Results, spread: bool) -> str:
    """What the numbers of a table are: `mean over 5 seeds ± standard deviation`."""
    number = len(results.seeds)
    return f"mean over {number} seed{'s' if number != 1 else ''}{' ± standard deviation' if spread else ''}"


def lower(title: str) -> str:
    return title[0].lower() + title[1:]


def verdicts(results: Results, pool: str = "all models") -> list[str]:
    """What the report says in words. pool: what pooled comparisons are over."""
    where = title(results.measured).removeprefix("Exact match accuracy (%) on ")
    lines = (*statistics.answers(results, pool), *statistics.verdicts(results.comparisons, statistics.told(results)))
    return [f"{where}: {line}" for line in lines]
