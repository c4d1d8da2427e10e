"""Tables 2, 4 and 5 of the paper, and any other slice, from measured cells. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from analysis.paper import conventions
from analysis.results.code_of_runs import code
from analysis.results.measurements import Measured, Trials, number
from analysis.results.runs import Cell
from analysis.results.step_delta import step_delta
from analysis.statistics import inference
from analysis.statistics.inference import Comparison, Summary
from analysis.tables import untrained
from analysis.tables.pivot import Grid, Key, label, lay_out, place
from analysis.tables.table import BOLD, DASH, OPEN, UNRANKED, ZERO, Entry, Line, Notes, Table, ranked, spans


@dataclass(frozen=True)
class Results:
    """Everything the tables of one metric are drawn from."""

    measured: Measured
    grid: Grid
    summaries: Mapping[str, Summary]
    comparisons: tuple[Comparison, ...]
    seeds: tuple[int, ...]

    def trials(self, row: Key, column: Key) -> Trials | None:
        cell = self.grid.at.get((row, column))
        return None if cell is None else self.measured.by_cell[cell.id]

    @cached_property
    def _by_place(self) -> Mapping[tuple[str | None, str, str], Comparison]:
        return {(one.model, one.method, one.baseline): one for one in self.comparisons}

    def comparison(self, column: str, method: str, baseline: str) -> Comparison | None:
        return self._by_place.get((column, method, baseline))


def results(
    cells: Sequence[Cell],
    measured: Measured,
    seeds: Sequence[int],
    rows: Sequence[str] = ("algo",),
    columns: Sequence[str] = ("model",),
    claimed: Sequence[tuple[str, str]] = (),
) -> Results:
    """Lay the cells out and compute their statistics; methods are compared where rows are methods.

    claimed: method and baseline of comparisons beside those with each method's own baselines. Two methods are compared
    once, in the direction of the claim.
    """
    grid = lay_out(cells, rows, columns)
    wanted = []
    if tuple(rows) == ("algo",):
        for column in grid.columns:
            for (method,) in grid.rows:
                own = [one for one in conventions.baselines(method) if (one, method) not in claimed]
                others = [baseline for one, baseline in claimed if one == method]
                for baseline in dict.fromkeys((*own, *others)):
                    ours, theirs = (grid.at.get(((algo,), column)) for algo in (method, baseline))
                    if ours and theirs:
                        of = measured.by_cell
                        wanted.append((place(column, grid.column_axes), method, baseline, of[ours.id], of[theirs.id]))
    compared = inference.compare(measured, wanted)
    return Results(measured, grid, inference.summaries(measured), tuple(compared), tuple(seeds))


@dataclass
class Draft:
    """A table being drawn: its columns, its footnotes, and what the caller wants shown."""

    results: Results
    columns: tuple[Key, ...]
    spread: bool
    notes: Notes

    def value(self, row: Key) -> Line:
        return Line(self.label(row), tuple(self._entry(row, column) for column in self.columns))

    def label(self, row: Key) -> str:
        grid = self.results.grid
        cells = [grid.at[row, c] for c in self.columns if (row, c) in grid.at]
        k = {conventions.rollouts(cell.params) for cell in cells}
        text = label(row, grid.row_axes, k.pop() if len(k) == 1 else None)
        taus = {cell.tau for cell in cells} - {None, conventions.TAU}
        if grid.row_axes == ("algo",) and len(taus) == 1:
            text = conventions.method(row[0], taus.pop(), conventions.rollouts(cells[0].params))
        return text

    def _entry(self, row: Key, column: Key) -> Entry:
        cell = self.results.grid.at.get((row, column))
        if cell is None:
            return self.dash("not run")
        summary, measured = self.results.summaries.get(cell.id), self.results.measured
        if summary is None:
            return self.dash(f"{measured.metric} was not measured" if cell.runs else cell.reason)
        marks: tuple[str, ...] = ()
        if gone := cell.missing(self.results.seeds):
            expected = len(self.results.seeds)
            marks = (self.notes.letter(f"{expected - len(gone)} of {expected} seeds"),)
        elif summary.n < len(cell.runs):
            marks = (self.notes.letter(f"{summary.n} of {len(cell.runs)} runs measured {measured.metric}"),)
        if at_0 := untrained.note(measured.by_cell[cell.id]):
            marks = (*marks, self.notes.letter(at_0))
        spread = measured.text(summary.sd) if self.spread and summary.n > 1 else ""
        return Entry(measured.text(summary.mean), summary.mean * measured.scale, spread, 0, marks)

    def dash(self, reason: str) -> Entry:
        return Entry(DASH, None, marks=(self.notes.letter(reason),))

    def delta(self, name: str, of: str, over: str, percent: bool = False) -> Line:
        """Return the difference of the means of two rows, from unrounded values; in percent of the second."""
        entries = []
        for column in self.columns:
            ours, theirs = (self.results.trials((algo,), column) for algo in (of, over))
            if not ours or not theirs or ours.mean is None or theirs.mean is None:
                entries.append(Entry(DASH))
                continue
            difference = ours.mean - theirs.mean
            marks = self._said(place(column, self.results.grid.column_axes), of, over)
            if percent:
                share = 100 * difference / theirs.mean if theirs.mean else None
                entries.append(Entry(DASH) if share is None else Entry(number(share, 2, True), share, marks=marks))
                continue
            measured = self.results.measured
            entries.append(Entry(measured.text(difference, True), difference * measured.scale, marks=marks))
        return Line(name, tuple(entries), "delta")

    def _said(self, column: str, of: str, over: str) -> tuple[str, ...]:
        """Return the mark of a difference that is not decided; only one that is has none."""
        one = self.results.comparison(column, of, over)
        if self.results.measured.is_no_result:
            return ()
        if not one or min(one.n, one.against) < 2:
            return (self.notes.letter("no interval: fewer than two seeds of a method"),)
        if one.holds_zero:
            return (self.notes.fixed(ZERO, "the 95% interval of the difference over seeds holds zero"),)
        if one.verdict in ("exploratory", "not decided"):
            text = "the interval excludes zero, but no claim that was named before the runs decides it"
            return (self.notes.fixed(OPEN, text),)
        return ()

    def steps(self, of: str, over: str) -> Line:
        entries = []
        for column in self.columns:
            ours, theirs = (self.results.trials((algo,), column) for algo in (of, over))
            if not ours or not theirs or not ours.curves or not theirs.curves:
                entries.append(Entry(DASH))
                continue
            delta = step_delta([*ours.curves.values()], [*theirs.curves.values()])
            if delta is None:
                entries.append(self.dash("its mean curve never reaches the best of the baseline's"))
            else:
                entries.append(Entry(f"{delta:+d}" if delta else "0", float(delta)))
        self.notes.plain(
            "Step Δ: as the paper defines it, from mean curves, without an interval. It "
            "mostly repeats the difference in accuracy"
        )
        return Line("Step Δ", tuple(entries), "delta")


def _draft(results: Results, columns: Sequence[Key] | None, spread: bool) -> Draft:
    return Draft(results, tuple(results.grid.columns if columns is None else columns), spread, Notes())


def _finish(draft: Draft, name: str, title: str, blocks: Sequence[Sequence[Line]]) -> Table:
    """Rank each column over all blocks, and write head, notes and sources."""
    blocks = [block for block in blocks if block]
    lines = [line for block in blocks for line in block]
    flat = iter(lines if draft.results.measured.is_no_result else ranked(lines))
    shown = tuple(tuple(next(flat) for _ in block) for block in blocks)
    if any(entry.rank == 1 for block in shown for line in block for entry in line.entries):
        draft.notes.plain(BOLD + UNRANKED * any(entry.marks for line in lines for entry in _ranked_of(line)))
    stub, header = head(draft.results.grid.column_axes, draft.columns)
    if any(text.startswith("Qwen3*") for level in header for text, _ in level):
        draft.notes.plain("Qwen3*: without thinking")
    return Table(name, title, stub, header, shown, draft.notes.all(), _sources(draft))


def _ranked_of(line: Line) -> tuple[Entry, ...]:
    """Return the cells of a line with a number that might be the best."""
    return tuple(one for one in line.entries if one.value is not None) if line.kind == "value" else ()


def head(axes: Key, columns: Sequence[Key]) -> tuple[tuple[str, ...], tuple[tuple[tuple[str, int], ...], ...]]:
    """Stub words and levels of the head: models by name over size, other axes one level each."""
    stub, levels = [], []
    for index, axis in enumerate(axes):
        texts = [column[index] for column in columns]
        if axis == "model":
            models = [conventions.model(text) for text in texts]
            stub.append("Name")
            levels.append(spans([m.name for m in models]) if index == 0 else tuple((m.name, 1) for m in models))
            if any(m.size for m in models):
                stub.append("Size")
                levels.append(tuple((m.size, 1) for m in models))
        else:
            words = {
                "algo": conventions.method,
                "tau": lambda t: conventions.tau_label(float(t), None) if t else "",
                "noise": lambda t: f"noise {100 * float(t or 0):g}%",
            }
            named = [words.get(axis, lambda t: t)(text) for text in texts]
            stub.append({"algo": "Method", "noise": ""}.get(axis, axis))
            levels.append(spans(named) if index == 0 and len(axes) > 1 else tuple((text, 1) for text in named))
    return tuple(stub), tuple(levels)


def _sources(draft: Draft) -> tuple[str, ...]:
    """For the comment at a table's head: what each cell was drawn from."""
    measured, out = draft.results.measured, []
    out.append(f"metric {measured.name}, {measured.pick} of each run, mean over seeds")
    seen = set()
    for (_, column), cell in sorted(draft.results.grid.at.items()):
        if column in draft.columns and cell.id not in seen and cell.runs:
            seen.add(cell.id)
            runs = " ".join(run.identity for run in cell.runs)
            out.append(f"{cell.name}: n={len(measured.by_cell[cell.id].values)}, runs {runs}")
    ran = code(run for cell in draft.results.grid.at.values() for run in cell.runs)
    return (*out, *(f"{kind} {' '.join(names)}" for kind, names in ran.items()))


def main_table(results: Results, name: str, title: str, steps: bool, percent: bool, spread: bool = False) -> Table:
    """Tables 2 and 4: the paper's other methods, then each baseline with the GAPO on it, Improve and the row below it.

    Last come methods that the paper does not have.
    """
    draft = _draft(results, None, spread)
    rows = {key[0] for key in results.grid.rows} - set(conventions.ABLATIONS)
    paired = {algo for pair in conventions.PAIRS for algo in pair}
    others = sorted(rows - paired, key=conventions.method_order)
    first = [algo for algo in others if algo in conventions.OTHERS]
    blocks = [[draft.value((algo,)) for algo in first]]
    for baseline, method in conventions.PAIRS:
        block = [draft.value((algo,)) for algo in (baseline, method) if algo in rows]
        if {baseline, method} <= rows:
            block.append(draft.delta("Improve.", method, baseline))
            if percent:
                block.append(draft.delta("Imp. (%)", method, baseline, percent=True))
            if steps:
                block.append(draft.steps(method, baseline))
        blocks.append(block)
    blocks.append([draft.value((algo,)) for algo in others if algo not in first])
    return _finish(draft, name, title, blocks)


def ablation_table(results: Results, name: str, title: str, spread: bool = False) -> Table | None:
    """Table 5: GAPO's variants, each with its difference to the baseline and to GAPO; None without variants."""
    rows = {key[0] for key in results.grid.rows}
    variants = [algo for algo in conventions.ABLATIONS if algo in rows]
    if not variants:
        return None
    columns = [c for c in results.grid.columns if any(((v,), c) in results.grid.at for v in variants)]
    draft = _draft(results, columns, spread)
    blocks = []
    for baseline, method in conventions.PAIRS:
        mine = [v for v in variants if v.startswith(f"{method}_")]
        if not mine:
            continue
        block = [draft.value((baseline,))] if baseline in rows else []
        if method in rows:
            line = draft.value((method,))
            block.append(Line(f"{line.label} (median, div)", line.entries, line.kind))
        for variant in mine:
            block.append(draft.value((variant,)))
            block += [
                draft.delta(f"Δ to {conventions.method(other)}", variant, other)
                for other in (baseline, method)
                if other in rows
            ]
        blocks.append(block)
    return _finish(draft, name, title, blocks)


def slice_table(results: Results, name: str, title: str, spread: bool = False) -> Table:
    """Any rows by any columns; with methods as rows, laid out as Table 2."""
    if results.grid.row_axes == ("algo",):
        return main_table(results, name, title, steps=results.measured.is_share, percent=False, spread=spread)
    draft = _draft(results, None, spread)
    return _finish(draft, name, title, [[draft.value(row) for row in results.grid.rows]])
