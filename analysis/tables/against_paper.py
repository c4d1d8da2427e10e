"""Ours beside the published numbers: a table with ours, theirs and the difference. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.paper import conventions
from analysis.paper.published import Published
from analysis.results.measurements import number
from analysis.results.step_delta import step_delta
from analysis.tables.paper import Results
from analysis.tables.table import DASH, Entry, Line, Table, spans

MODELS = 5  # of one table
PARTS = ("ours", "paper", "diff.")


def tables(results: Results, theirs: Published, name: str, title: str) -> list[Table]:
    """Three columns a model, a few models a table; none where the two have no cell in common.

    The models both have; the rows that the published table has, its differences included.
    """
    columns = [c for c in theirs.columns if (c,) in results.grid.columns]
    if results.grid.row_axes != ("algo",) or results.grid.column_axes != ("model",):
        return []
    groups = [columns[i : i + MODELS] for i in range(0, len(columns), MODELS)]
    found = [
        _table(results, theirs, f"{name}{'abcdefgh'[i] if i else ''}", title, part) for i, part in enumerate(groups)
    ]
    return [one for one in found if one]


def _table(results: Results, theirs: Published, name: str, title: str, columns: Sequence[str]) -> Table | None:
    lines: list[Line] = []
    for row in theirs.rows:
        if any(_ours(results, row, column) is not None for column in columns):
            lines.append(
                Line(
                    conventions.method(row),
                    _triples([(_ours(results, row, c), theirs.value(row, c)) for c in columns], results, False),
                )
            )
        for delta in theirs.deltas:
            if delta.of == row and all(r in {k[0] for k in results.grid.rows} for r in (delta.of, delta.over)):
                both = [
                    (
                        _delta(results, delta.of, delta.over, delta.kind, c),
                        theirs.delta(delta.of, delta.over, delta.kind, c),
                    )
                    for c in columns
                ]
                lines.append(Line(delta.name, _triples(both, results, True, delta.kind == "steps"), "delta"))
    if not lines:
        return None
    models = [conventions.model_title(c) for c in columns]
    header = (spans([m for m in models for _ in PARTS]), tuple((part, 1) for _ in models for part in PARTS))
    notes = (("", f"paper: Table {theirs.table} as printed; diff.: ours minus paper, in the unit of the row"),)
    return Table(name, title, ("Model", ""), header, (tuple(lines),), notes)


def _ours(results: Results, row: str, column: str) -> float | None:
    trials = results.trials((row,), (column,))
    return None if trials is None or trials.mean is None else trials.mean * results.measured.scale


def _delta(results: Results, of: str, over: str, kind: str, column: str) -> float | None:
    a, b = (results.trials((algo,), (column,)) for algo in (of, over))
    if a is None or b is None or a.mean is None or b.mean is None:
        return None
    if kind == "steps":
        found = step_delta([*a.curves.values()], [*b.curves.values()])
        return None if found is None else float(found)
    difference = (a.mean - b.mean) * results.measured.scale
    return difference if kind == "points" else (100 * (a.mean - b.mean) / b.mean if b.mean else None)


def _triples(
    both: Sequence[tuple[float | None, float | None]], results: Results, signed: bool, whole: bool = False
) -> tuple[Entry, ...]:
    def shown(value: float | None, sign: bool) -> Entry:
        if value is None:
            return Entry(DASH)
        return Entry(number(value, 0 if whole else 2, sign), value)

    out = []
    for ours, theirs in both:
        gap = None if ours is None or theirs is None else ours - theirs
        out += [shown(ours, signed), shown(theirs, signed), shown(gap, True)]
    return tuple(out)
