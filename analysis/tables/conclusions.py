"""The claims of a study, each in one plain sentence: what the front of a report says. Pure."""

from __future__ import annotations

from analysis.paper import conventions
from analysis.statistics.inference import Comparison
from analysis.statistics.pooling import SAMPLE
from analysis.tables.captions import title
from analysis.tables.paper import Results
from analysis.tables.power import visible
from analysis.tables.statistics import p_text
from gapo_lab.utils.text import several


def sentences(results: Results) -> list[str]:
    """Return a sentence for each claim about this metric, decided or not."""
    where = title(results.measured).rpartition(" on ")[2]
    return [f"On {where}, {_sentence(results, one)}" for one in results.comparisons if one.is_claim]


def _sentence(results: Results, one: Comparison) -> str:
    ours, theirs = conventions.method(one.method), conventions.method(one.baseline)
    if min(one.n, one.against) == 0:
        return f"{ours} and {theirs} are not compared: one of them has no finished run."
    if min(one.n, one.against) < 2 * one.models:
        return f"{ours} and {theirs} cannot be compared: one seed says nothing about other seeds."
    numbers = f"{_difference(results, one)}, {_seeds(one)}"
    if one.verdict in ("better", "worse"):
        out = f"{ours} is {one.verdict} than {theirs}: {numbers}; corrected p {p_text(one.p_corrected)}."
    elif one.verdict == "not decided":
        out = (
            f"it is not decided whether {ours} differs from {theirs}: {numbers}; corrected p {p_text(one.p_corrected)}."
        )
    else:
        out = f"no difference between {ours} and {theirs} is found: {numbers}.{_power(results, one)}"
    return f"{out} The models differ, so look at each." if one.models_differ else out


def _difference(results: Results, one: Comparison) -> str:
    text = results.measured.text
    unit = " points" if results.measured.is_share else ""
    return f"{text(one.delta, True)}{unit}, 95% interval [{text(one.low, True)}, {text(one.high, True)}]"


def _seeds(one: Comparison) -> str:
    seeds = round((one.n + one.against) / 2 / one.models)
    return f"{several(seeds, 'seed')} a method" + (f" on each of {one.models} models" if one.models > 1 else "")


def _power(results: Results, one: Comparison) -> str:
    """Say which difference would have been found; nothing where the error is that of a sample of models."""
    if one.models >= SAMPLE or not one.error > 0:
        return ""
    return (
        " With this number of seeds, and if their spread is the one seen here, 80% of studies find a true difference "
        f"of {visible(results, one)}."
    )
