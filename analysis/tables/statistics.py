"""The statistics as tables: a line a cell, and a line a comparison. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.paper import conventions
from analysis.results import curves
from analysis.results.measurements import Measured
from analysis.statistics.inference import Comparison
from analysis.statistics.intervals import LEVEL
from analysis.statistics.pooling import SAMPLE, seed_correlation
from analysis.tables import untrained
from analysis.tables.paper import Results
from analysis.tables.pivot import Key, label
from analysis.tables.table import DASH, Entry, Line, Table

DIFFER = "models differ"
MANY = 4  # models, each of which has a sentence


def _entry(text: str, value: float | None = None) -> Entry:
    return Entry(text, value)


def cells_table(results: Results, name: str, title: str) -> Table:
    """Mean, standard deviation and interval over seeds of each cell, and the test set's own error beside it."""
    measured, grid = results.measured, results.grid
    chosen = any(measured.by_cell[cell.id].steps for cell in grid.at.values())
    blocks = []
    for column in grid.columns:
        lines = []
        for row in grid.rows:
            cell = grid.at.get((row, column))
            if cell is None or cell.id not in results.summaries:
                continue
            one = results.summaries[cell.id]
            words = label(row, grid.row_axes, conventions.rollouts(cell.params))
            lines.append(
                Line(
                    f"{label(column, grid.column_axes)} {words}".strip(),
                    (
                        _entry(str(one.n), one.n),
                        _entry(measured.text(one.mean), one.mean * measured.scale),
                        _number(measured.text(one.sd), one.sd * measured.scale),
                        _interval(measured.text(one.low), measured.text(one.high), one.low),
                        *([_entry(untrained.steps(measured.by_cell[cell.id]))] if chosen else []),
                        _last(measured, cell.id),
                        _entry(DASH)
                        if one.sampling_error is None
                        else _entry(measured.text(one.sampling_error), one.sampling_error * measured.scale),
                    ),
                )
            )
        blocks.append(tuple(lines))
    texts = [
        (
            f"{measured.name}, {measured.pick} of each run. Interval over seeds: Student's t; from ten seeds on a "
            "bootstrap"
        )
    ]
    if chosen:
        texts.append("picked step: the step that was chosen for each run, in the order of seeds if they differ")
    texts += [text] if (text := untrained.caution(results)) else []
    texts.append("last step: the mean of each run's last value, for which no step was chosen")
    if measured.test_cases:
        guessed = " (guessed from the accuracies: at least so many)" if measured.cases_guessed else ""
        error = f"Test-set error: standard error of an accuracy on {measured.test_cases:,} cases{guessed}"
        texts.append(f"{error}. All runs share these cases, so more runs do not make it smaller")
    picked = ("picked step",) if chosen else ()
    names = ("seeds", "mean", "sd over seeds", "95% interval", *picked, "last step", "test-set error")
    head = tuple((text, 1) for text in names)
    return Table(name, title, ("Cell",), (head,), tuple(b for b in blocks if b), _notes(texts), records=True)


def _last(measured: Measured, cell: str) -> Entry:
    """Return the mean of the trials' last values: no step is chosen by the set that it is measured on."""
    last = [*curves.reduce(measured.by_cell[cell].curves, "final").values()]
    if not last:
        return _entry(DASH)
    mean = math.fsum(last) / len(last)
    return _entry(measured.text(mean), mean * measured.scale)


def comparisons_table(results: Results, name: str, title: str, pool: str = "all models") -> Table | None:
    """Each method against its baseline; None where nothing can be compared. pool: what was pooled, in words."""
    single = [one for one in results.comparisons if one.model is not None]
    several = [one for one in results.comparisons if one.model is None]
    if not single:
        return None
    blocks = []
    for model in dict.fromkeys(one.model for one in single if one.model is not None):
        mine = [one for one in single if one.model == model]
        where = label((model,), results.grid.column_axes) if len(results.grid.column_axes) == 1 else model
        blocks.append(tuple(_comparison(results, one, where) for one in mine))
    if several:
        blocks.append(tuple(_comparison(results, one, pool) for one in several))
    texts = [
        "Interval and p: Welch's t over the seeds of both, 95%. p (labels): permutation of the seeds' labels",
        "P(better): how often a random seed of the method beats one of the baseline",
    ]
    if claimed := sum(one.is_claim for one in results.comparisons):
        texts.append(
            f"p corr.: by Holm over the claims that were named before the runs, of which {claimed} can be judged here, "
            "and not below those on an earlier metric. Better or worse: said of claims only, and only where p corr. is "
            "at most 0.05"
        )
    texts.append("Exploratory: the interval excludes zero, but no claim named it before the runs: 5% do so by chance")
    texts += [text] if (text := untrained.caution(results)) else []
    if several:
        texts.append(_pooled_how(several) + _together(results))
    heads = ("difference", "95% interval", "verdict", "seeds", "p", "p (labels)", "p corr.", "P(better)", DIFFER)
    kept = [place for place, text in enumerate(heads) if several or text != DIFFER]
    head = tuple((heads[place], 1) for place in kept)
    lines = tuple(tuple(replace(n, entries=tuple(n.entries[p] for p in kept)) for n in block) for block in blocks)
    return Table(name, title, ("Comparison",), (head,), lines, _notes(texts), records=True)


def _pooled_how(several: Sequence[Comparison]) -> str:
    """How the pooled ones were pooled."""
    few = "the mean of the differences, each with its own error; it is about these models only"
    many = f"from {SAMPLE} on they count as a sample of models"
    how = many if all(one.models >= SAMPLE for one in several) else few
    return f"Pooled: {how}. {DIFFER}: p of one difference for all (Welch's analysis of variance)"


def _together(results: Results) -> str:
    """How far the seeds of two models go together, on which a pooled error relies."""
    values: dict[Key, list[Mapping[int, float]]] = {}
    for (row, _), cell in results.grid.at.items():
        values.setdefault(row, []).append(results.measured.by_cell[cell.id].values)
    found = seed_correlation([*values.values()])
    if math.isnan(found):
        return ""
    return f". Models count as independent; the runs of one seed correlate by {found:+.2f} between them"


def _comparison(results: Results, one: Comparison, where: str) -> Line:
    measured = results.measured
    text = f"{where}: {conventions.method(one.method)} over {conventions.method(one.baseline)}"
    return Line(
        text,
        (
            _number(measured.text(one.delta, True), one.delta * measured.scale),
            _interval(measured.text(one.low, True), measured.text(one.high, True), one.low),
            Entry(one.verdict),
            _entry(f"{one.n} + {one.against}", one.n + one.against),
            _number(p_text(one.p), one.p),
            _number(p_text(one.p_permuted), one.p_permuted),
            _number(p_text(one.p_corrected), one.p_corrected),
            _number(f"{one.improvement:.2f}", one.improvement),
            _number(p_text(one.interaction), one.interaction),
        ),
    )


def _count(number: int) -> str:
    return f"{number} comparison{'s' if number != 1 else ''}"


def _notes(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple(("", text) for text in texts)


def p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _number(text: str, value: float) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(text, value)


def _interval(low: str, high: str, value: float) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(f"[{low}, {high}]")


def told(results: Results) -> list[Comparison]:
    """Return what has a sentence of its own: claims and their models, pooled first; of more models than ``MANY``
    only pooled.

    Where nothing was claimed: the paper's comparisons, each GAPO over its baseline.
    """
    pairs = {(c.baseline, c.method) for c in results.comparisons if c.is_claim} or set(conventions.PAIRS)
    found = [
        c
        for c in results.comparisons
        # what is pooled over both GAPOs has no baseline of the layout's
        if ((c.baseline, c.method) in pairs or c.baseline not in conventions.METHODS) and c.n and c.against
    ]
    if len({c.model for c in found if c.model}) > MANY and any(c.model is None for c in found):
        found = [c for c in found if c.model is None]
    return sorted(found, key=lambda c: c.model is not None)


def answers(results: Results, pool: str = "all models") -> list[str]:
    """Return the claims in numbers, a sentence each, whatever came out."""
    return [_sentence(results, c, _where(results, c.model) if c.model else pool) for c in told(results)]


def _where(results: Results, model: str) -> str:
    return conventions.model_title(model) if len(results.grid.column_axes) == 1 else model


def _sentence(results: Results, one: Comparison, where: str) -> str:
    text = results.measured.text
    said = f"{conventions.method(one.method)} over {conventions.method(one.baseline)}, {where}: {text(one.delta, True)}"
    said += " points" if results.measured.is_share else ""
    if not math.isnan(one.p):
        said += f" [{text(one.low, True)}, {text(one.high, True)}], p {p_text(one.p)}, labels {p_text(one.p_permuted)}"
        said += f", corrected {p_text(one.p_corrected)}" if one.is_claim else ""
    said += f", {one.n} + {one.against} seeds: {one.verdict}"
    if one.models_differ:
        said += f"; the models differ (p {p_text(one.interaction)}), so look at each"
    return said


def verdicts(comparisons: Sequence[Comparison], answered: Sequence[Comparison] = ()) -> list[str]:
    """How many of the other comparisons exclude zero, and how many would by chance.

    answered: what has its sentence already.
    """
    others = [c for c in comparisons if not any(c is one for one in answered) and not math.isnan(c.p)]
    if not others:
        return []
    near = sum(not c.holds_zero for c in others)
    chance = f"about {(1 - LEVEL) * len(others):.1f} would if nothing differed"
    return [f"exploratory: the interval excludes zero in {near} of {_count(len(others))} more; {chance}"]
