"""Which half of GAPO acts: within a group its advantage is GRPO's, scaled and shifted, and two controls have one half
each (docs/methods.md, "Scale and shift"). Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.paper import conventions
from analysis.results.measurements import Measured
from analysis.statistics.pooling import apart, pooled
from analysis.statistics.two_samples import Difference, welch
from analysis.tables import captions
from analysis.tables.paper import Results
from analysis.tables.statistics import p_text
from analysis.tables.table import DASH, Entry, Line, Table

# (scaled, shifted) -> the method that is so
HALVES = {
    (False, False): "grpo",
    (False, True): "grpo_shifted",
    (True, False): "gapo_centred",
    (True, True): "gapo_grpo",
}
SCALES = {False: "GRPO's scale", True: "GAPO's scale"}
SHIFTS = {False: "no shift", True: "GAPO's shift"}


def tables(results: Results) -> list[Table]:
    """Return the four means, and what either half does with and without the other; none where a method is missing."""
    values = _values(results)
    return [] if values is None else [_means(results, values), _effects(results, values)]


def _values(results: Results) -> dict[tuple[bool, bool], list[float]] | None:
    """Return the seeds' values of the four methods on the only model."""
    if len(results.grid.columns) != 1:
        return None
    out = {}
    for half, algo in HALVES.items():
        trials = results.trials((algo,), results.grid.columns[0])
        if trials is None or len(trials.values) < 2:
            return None
        out[half] = [*trials.values.values()]
    return out


def _means(results: Results, values: dict[tuple[bool, bool], list[float]]) -> Table:
    measured, lines = results.measured, []
    for scaled, row in SCALES.items():
        entries = []
        for shifted in SHIFTS:
            mean = math.fsum(values[scaled, shifted]) / len(values[scaled, shifted])
            name = conventions.method(HALVES[scaled, shifted])
            entries.append(Entry(f"{measured.text(mean)} ({name})", mean * measured.scale))
        lines.append(Line(row, tuple(entries)))
    head = (tuple((text, 1) for text in SHIFTS.values()),)
    title = f"The four combinations: {captions.lower(captions.title(measured))}, mean over seeds"
    return Table("mechanism", title, ("",), head, (tuple(lines),))


def _effects(results: Results, values: dict[tuple[bool, bool], list[float]]) -> Table:
    shift = [welch(values[scaled, True], values[scaled, False]) for scaled in SCALES]
    scale = [welch(values[True, shifted], values[False, shifted]) for shifted in SHIFTS]
    blocks = (
        _block(results.measured, "the shift", [f"at {text}" for text in SCALES.values()], shift),
        _block(results.measured, "the scale", [f"with {text}" for text in SHIFTS.values()], scale),
        (_line(results.measured, "both together, less the sum of each alone", apart(*shift), "delta"),),
    )
    head = (tuple((text, 1) for text in ("difference", "95% interval", "p")),)
    notes = (
        "Interval and p: Welch's t over seeds. On average: the mean of the two differences above, which share no run",
        "The last line is the interaction: what the shift does at GAPO's scale, less what it does at GRPO's",
        "The first line of either half is judged as a claim where the study names it; the others are exploratory",
    )
    title = f"What either half does: {captions.lower(captions.title(results.measured))}"
    return Table("mechanism_effects", title, ("Effect",), head, blocks, tuple(("", text) for text in notes))


def _block(measured: Measured, what: str, where: Sequence[str], parts: Sequence[Difference]) -> tuple[Line, ...]:
    lines = [_line(measured, f"{what} {place}", part) for place, part in zip(where, parts, strict=True)]
    return (*lines, _line(measured, f"{what} on average", pooled(parts)))


def _line(measured: Measured, label: str, one: Difference, kind: str = "value") -> Line:
    low, high = one.interval
    interval = DASH if math.isnan(low) else f"[{measured.text(low, True)}, {measured.text(high, True)}]"
    entries = (Entry(measured.text(one.delta, True), one.delta * measured.scale), Entry(interval), _p(one.p))
    return Line(label, entries, kind)


def _p(value: float) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(p_text(value), value)
