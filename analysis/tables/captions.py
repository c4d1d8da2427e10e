"""Captions of tables, and verdicts in words."""

from __future__ import annotations

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
    """Return what was read, and where: `Expected exact match accuracy (%) on the ID test set`."""
    parts = one.name.split("/")
    if len(parts) != 3 or parts[0] != "val":
        return f"{one.name}{' (%)' if one.is_share else ''}"
    greedy = ", greedy" if parts[2].endswith("_greedy") else ""
    return f"{measure(one)}{' (%)' if one.is_share else ''} on {SET.get(parts[1], parts[1])}{greedy}"


def measure(one: Measured) -> str:
    """Return what was read, in words: `Expected exact match accuracy`; a measure without words by its name."""
    name = one.name.rpartition("/")[2].removesuffix("_greedy")
    return MEASURE.get(name, name)


def axis(one: Measured) -> str:
    """Return the label of an axis: `expected exact match, %`."""
    known = one.name.rpartition("/")[2].removesuffix("_greedy") in MEASURE
    text = lower(measure(one)).replace(" accuracy", "") if known else measure(one)
    return text + (", %" if one.is_share else "")


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
