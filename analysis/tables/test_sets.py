"""Each method on every test set, beside what the model did before training. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.paper import conventions
from analysis.results.measurements import Measured, Trials
from analysis.results.runs import Cell
from analysis.tables.captions import SET
from analysis.tables.table import DASH, Entry, Line, Notes, Table, spans

# A measure of exact match, as the head of a column says it.
MEASURES = {
    "em_expected": "T=1",
    "em_expected_t50": "T=0.5",
    "em_greedy": "greedy",
    "em": "T=1, sampled",
}
NOTES = {
    "em_expected": "T=1, T=0.5: the probability of an exact match at that temperature, free of sampling noise",
    "em_greedy": "Greedy: the share of exact matches where each token is the likeliest",
}


def table(cells: Sequence[Cell], measured: Sequence[Measured], settings: Mapping[str, str]) -> Table:
    """Return a line a cell, a column a measure: mean and standard deviation over seeds.

    settings: what was chosen for each method, in words; empty where all have the same.
    """
    notes = Notes()
    ordered = sorted(cells, key=lambda cell: conventions.method_order(cell.algo))
    before = Line("before training", tuple(_start(one, ordered) for one in measured), "other")
    lines = [
        Line(conventions.method(cell.algo), tuple(_entry(one, one.by_cell.get(cell.id)) for one in measured))
        for cell in ordered
    ]
    for one in measured:
        if text := NOTES.get(one.name.rpartition("/")[2]):
            notes.plain(text)
    notes.plain("Each run at the step that is best on the dev set; mean over seeds ± standard deviation")
    sets = [SET.get(one.metric.split("/")[1], one.metric).removeprefix("the ") for one in measured]
    measures = [MEASURES.get(one.name.rpartition("/")[2], one.name) for one in measured]
    title = "Exact match (%) of each method"
    if settings:
        title += " at its own settings"
        sets, measures = ["", *sets], ["settings", *measures]
        before = _at("", before)
        lines = [_at(settings.get(cell.algo, ""), line) for cell, line in zip(ordered, lines, strict=True)]
    head = (spans(sets), tuple((text, 1) for text in measures))
    return Table("test_sets", title, ("Method", ""), head, ((before,), tuple(lines)), notes.all())


def _at(settings: str, line: Line) -> Line:
    return replace(line, entries=(Entry(settings), *line.entries))


def _entry(one: Measured, trials: Trials | None) -> Entry:
    if trials is None or trials.mean is None:
        return Entry(DASH)
    values = list(trials.values.values())
    spread = one.text(statistics.stdev(values)) if len(values) > 1 else ""
    return Entry(one.text(trials.mean), trials.mean * one.scale, spread)


def _start(one: Measured, cells: Sequence[Cell]) -> Entry:
    """Return the mean of all runs before their first step."""
    found = [
        float(curve.values[0])
        for cell in cells
        for curve in one.by_cell[cell.id].curves.values()
        if len(curve) and curve.steps[0] == 0
    ]
    mean = math.fsum(found) / len(found) if found else math.nan
    return Entry(DASH) if math.isnan(mean) else Entry(one.text(mean), mean * one.scale)
