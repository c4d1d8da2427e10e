"""Our differences between methods beside the paper's, where the models are others: what can be compared. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from analysis.paper import conventions
from analysis.paper.published import Published
from analysis.results.measurements import number
from analysis.statistics.inference import Comparison
from analysis.statistics.intervals import sampling_error
from analysis.tables.paper import Results
from analysis.tables.table import DASH, Entry, Line, Table, spans

PAPER = ("how many", "lowest", "median", "highest")


def table(results: Results, theirs: Sequence[Published], name: str, title: str) -> Table | None:
    """Return a line a comparison: ours on each model with its interval, and the paper's over its models, all in points.

    Comparisons are those of the report that the paper's tables hold too; None where there is none.
    """
    tables = [one for one in theirs if one.metric == results.measured.metric]
    ours = [one for one in results.comparisons if one.model is not None and one.n]
    columns = list(dict.fromkeys(one.model for one in ours if one.model is not None))
    lines = []
    for method, baseline in dict.fromkeys((one.method, one.baseline) for one in ours):
        printed = differences(tables, method, baseline)
        if not printed:
            continue
        entries: list[Entry] = []
        for column in columns:
            one = results.comparison(column, method, baseline)
            entries += [Entry(DASH)] * 3 if one is None else _ours(results, one)
        low, middle, high = min(printed), median(printed), max(printed)
        entries += [Entry(str(len(printed)), float(len(printed)))]
        entries += [Entry(number(value, 2, True), value) for value in (low, middle, high)]
        lines.append(Line(f"{conventions.method(method)} over {conventions.method(baseline)}", tuple(entries)))
    if not lines:
        return None
    heads = [conventions.model_title(column) for column in columns for _ in range(3)]
    head = (*spans(heads), ("the paper's models", len(PAPER)))
    parts = (*(("difference", "95% interval", "verdict") * len(columns)), *PAPER)
    numbers = ", ".join(f"Table {one.table}" for one in tables)
    notes = (
        ("", "differences of exact match in points; ours: mean and interval over seeds"),
        ("", f"the paper: differences of the means that it prints in {numbers}, without intervals"),
        *(("", _coarse(one.table, one.test_cases)) for one in tables if one.test_cases),
    )
    return Table(
        name,
        title,
        ("Comparison", ""),
        (head, tuple((part, 1) for part in parts)),
        (tuple(lines),),
        notes,
        records=True,
    )


def differences(tables: Sequence[Published], method: str, baseline: str) -> list[float]:
    """Return the paper's, one a model, from the first of the tables that has both methods."""
    for one in tables:
        both = [(one.value(method, column), one.value(baseline, column)) for column in one.columns]
        if found := [a - b for a, b in both if a is not None and b is not None]:
            return found
    return []


def _coarse(table: str, cases: int) -> str:
    """How fine a printed accuracy is, and the standard error of a difference that its test set alone gives."""
    error = 100 * 2**0.5 * (sampling_error(0.5, cases) or 0.0)
    return (
        f"Table {table} is of {cases:,} test cases: one case is {100 / cases:.2f} points, and two"
        f" independent accuracies near 50% differ by chance with a standard error of {error:.1f} points"
    )


def _ours(results: Results, one: Comparison) -> list[Entry]:
    measured = results.measured
    interval = DASH if math.isnan(one.low) else f"[{measured.text(one.low, True)}, {measured.text(one.high, True)}]"
    value = one.delta * measured.scale
    return [Entry(measured.text(one.delta, True), value), Entry(interval), Entry(one.verdict)]
