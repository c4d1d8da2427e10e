"""The statistics as tables: a line a cell, and a line a comparison. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.paper import conventions
from analysis.results import curves
from analysis.results.measurements import Measured
from analysis.statistics.inference import LEVEL, Comparison
from analysis.tables.paper import Results
from analysis.tables.pivot import label
from analysis.tables.table import DASH, Entry, Line, Table

MANY = 4  # models, each of which has a sentence


def _entry(text: str, value: float | None = None) -> Entry:
    return Entry(text, value)


def cells_table(results: Results, name: str, title: str) -> Table:
    """Mean, standard deviation and interval over seeds of each cell, and the test set's own error beside it."""
    measured, grid = results.measured, results.grid
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
            f"{measured.name}, {measured.pick} of each trial. Interval: bootstrap over seeds, widened for few seeds; "
            "Student's t for fewer than five"
        )
    ]
    texts.append("last step: the mean of each trial's last value, for which no step was chosen")
    if measured.test_cases:
        guessed = " (guessed from the accuracies: at least so many)" if measured.cases_guessed else ""
        error = f"Test-set error: standard error of an accuracy on {measured.test_cases:,} cases{guessed}"
        texts.append(f"{error}. All trials share these cases, so more trials do not make it smaller")
    head = tuple(
        (text, 1) for text in ("seeds", "mean", "sd over seeds", "95% interval", "last step", "test-set error")
    )
    return Table(name, title, ("Cell",), (head,), tuple(b for b in blocks if b), _notes(texts))


def _last(measured: Measured, cell: str) -> Entry:
    """The mean of the trials' last values: no step is chosen by the set that it is measured on."""
    last = [*curves.reduce(measured.by_cell[cell].curves, "final").values()]
    if not last:
        return _entry(DASH)
    mean = math.fsum(last) / len(last)
    return _entry(measured.text(mean), mean * measured.scale)


def comparisons_table(
    results: Results, name: str, title: str, pool: str = "all models", singles: str = "single models"
) -> Table | None:
    """Each method against its baseline on the same seeds; None where nothing can be compared.

    pool, singles: what was pooled, and what was not, in words.
    """
    single = [one for one in results.comparisons if one.model is not None]
    pooled = [one for one in results.comparisons if one.model is None]
    if not single:
        return None
    blocks = []
    for model in dict.fromkeys(one.model for one in single if one.model is not None):
        mine = [one for one in single if one.model == model]
        where = label((model,), results.grid.column_axes) if len(results.grid.column_axes) == 1 else model
        blocks.append(tuple(_comparison(results, one, where) for one in mine))
    if pooled:
        blocks.append(tuple(_comparison(results, one, pool) for one in pooled))
    fewest = min((one.n for one in single if one.n), default=0)
    families = [f"{_count(len(single))} of {singles}", *_pooled_families(pooled)]
    over = "; apart from these, over ".join(families)
    texts = [
        (
            "Differences on the same seeds; interval: bootstrap over pairs, widened for few seeds; "
            "Student's t for fewer than five"
        ),
        f"p: permutation test of the signs, two-sided, corrected by Holm over {over}",
        "P(better): how often a random trial of the method beats one of the baseline",
        (
            "Verdict: better or worse where interval and corrected p (0.05) agree; interval only: the interval leaves "
            "zero out, the corrected p does not"
        ),
    ]
    if pooled:
        texts.append("Pooled: every pair counts as independent, also those of one seed")
    if fewest > 1:
        least = f"{2.0 ** (1 - fewest):.4g}"
        texts.append(f"{fewest} pairs can give no p below {least}, however large the difference")
    head = tuple((t, 1) for t in ("pairs", "difference", "95% interval", "p", "p corr.", "P(better)", "verdict"))
    return Table(name, title, ("Comparison",), (head,), tuple(blocks), _notes(texts))


def _pooled_families(pooled: Sequence[Comparison]) -> list[str]:
    """What is corrected together of the pooled comparisons (`statistics.compare`), in words."""
    claimed = sum(map(_claimed, pooled))
    if not 0 < claimed < len(pooled):
        return [f"the {len(pooled)} pooled"] if pooled else []
    return [f"the {claimed} pooled of GAPO over its baseline", f"the {len(pooled) - claimed} other pooled"]


def _comparison(results: Results, one: Comparison, where: str) -> Line:
    measured = results.measured
    text = f"{where}: {conventions.method(one.method)} over {conventions.method(one.baseline)}"
    return Line(
        text,
        (
            _entry(str(one.n), one.n),
            _number(measured.text(one.delta, True), one.delta * measured.scale),
            _interval(measured.text(one.low, True), measured.text(one.high, True), one.low),
            _number(p_text(one.p), one.p),
            _number(p_text(one.p_corrected), one.p_corrected),
            _number(f"{one.improvement:.2f}", one.improvement),
            Entry(one.verdict),
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


def claims(results: Results) -> list[Comparison]:
    """What the paper claims: each GAPO over its baseline, pooled first; of more models than ``MANY`` only pooled."""
    told = [c for c in results.comparisons if _claimed(c) and c.n]
    if len({c.model for c in told if c.model}) > MANY and any(c.model is None for c in told):
        told = [c for c in told if c.model is None]
    return sorted(told, key=lambda c: c.model is not None)


def answers(results: Results, pool: str = "all models") -> list[str]:
    """The paper's claims in numbers, a sentence each, whatever came out."""
    return [_sentence(results, c, _where(results, c.model) if c.model else pool) for c in claims(results)]


def _claimed(one: Comparison) -> bool:
    """GAPO over its baseline; what is pooled over both GAPOs has no baseline of the layout's."""
    return (one.baseline, one.method) in conventions.PAIRS or one.baseline not in conventions.METHODS


def _where(results: Results, model: str) -> str:
    return conventions.model_title(model) if len(results.grid.column_axes) == 1 else model


def _sentence(results: Results, one: Comparison, where: str) -> str:
    text = results.measured.text
    said = f"{conventions.method(one.method)} over {conventions.method(one.baseline)}, {where}: {text(one.delta, True)}"
    said += " points" if results.measured.is_share else ""
    if one.n > 1:
        said += f" [{text(one.low, True)}, {text(one.high, True)}]"
        said += f", p {p_text(one.p)}, corrected {p_text(one.p_corrected)}"
    return f"{said}, {one.n} pair{'s' if one.n > 1 else ''}: {one.verdict}"


def verdicts(
    comparisons: Sequence[Comparison], pool: str = "all models", answered: Sequence[Comparison] = ()
) -> list[str]:
    """What may be said in a sentence each, pooled first: only better or worse, and how many are not told apart.

    answered: what has its sentence already.
    """
    told = [c for c in comparisons if c.verdict in ("better", "worse")]
    out = [
        f"{conventions.method(c.method)} is {c.verdict} than {conventions.method(c.baseline)}"
        + (f" over {pool}" if c.model is None else f" on {conventions.model_title(c.model)}")
        for c in sorted(told, key=lambda c: c.model is not None)
        if c not in answered
    ]
    open = [c for c in comparisons if c not in told]
    if open:
        near = sum(c.verdict == "interval only" for c in open)
        few = [c.n for c in open if c.n > 1 and 2.0 ** (1 - c.n) > 1 - LEVEL]
        more = f"; in {near} of them the interval leaves zero out, and more seeds may decide" if near else ""
        if few:
            least = 2.0 ** (1 - min(few))
            more += f"; {len(few)} of them could not be decided: {min(few)} pairs give no p below {least:.4g}"
        out.append(f"these runs do not decide {len(open)} of {_count(len(comparisons))}{more}")
    return out
