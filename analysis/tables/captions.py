"""Captions of tables, and verdicts in words."""

from __future__ import annotations

from dataclasses import replace

from analysis.results.measurements import Measured
from analysis.tables import power, statistics
from analysis.tables.paper import Results

SET = {"id": "the ID test set", "ood": "the OOD test set", "dev": "the dev set"}

MEASURE = {
    "em": "Exact match accuracy",
    "em_expected": "Expected exact match accuracy",
    "em_expected_t50": "Expected exact match accuracy at T=0.5",
}


def title(one: Measured) -> str:
    parts = one.metric.split("/")
    if len(parts) != 3 or parts[0] != "val":
        return f"{one.metric}{' (%)' if one.is_share else ''}"
    measure = parts[2].removesuffix("_greedy")
    greedy = ", greedy" if parts[2] != measure else ""
    what = MEASURE.get(measure, measure)
    return f"{what}{' (%)' if one.is_share else ''} on {SET.get(parts[1], parts[1])}{greedy}"


def read_title(one: Measured) -> str:
    """Return the title of what was read for the metric: `Expected exact match accuracy` where that stands for it."""
    return title(replace(one, metric=one.name))


def trials(results: Results, spread: bool) -> str:
    """Return what the numbers of a table are: `mean over 5 seeds ± standard deviation`."""
    number = len(results.seeds)
    return f"mean over {number} seed{'s' if number != 1 else ''}{' ± standard deviation' if spread else ''}"


def lower(title: str) -> str:
    return title[0].lower() + title[1:]


def verdicts(results: Results, pool: str = "all models") -> list[str]:
    """Return what the report says in words. pool: what pooled comparisons are over."""
    where = title(results.measured).rpartition(" on ")[2]
    lines = (
        *statistics.answers(results, pool),
        *power.sentences(results, pool),
        *statistics.verdicts(results.comparisons, statistics.told(results)),
    )
    return [f"{where}: {line}" for line in lines]
