"""What each method was tuned by: its accuracy on the dev set at each setting that was tried (`+sweep=fair`). Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis.paper import conventions
from analysis.results.measurements import Measured, Trials
from analysis.results.runs import Selection
from analysis.tables import captions
from analysis.tables.table import DASH, Entry, Line, Notes, Table
from gapo_lab.search.tuning import Words, edge
from gapo_lab.tracking.mapping import NOT_CELL
from gapo_lab.utils.text import several

CHOSEN, AT_EDGE = "*", "!"


@dataclass(frozen=True)
class Tried:
    """One setting of a method on a model: its words, `lr=0.0004`, and its trials on the dev set."""

    words: Words
    trials: Trials

    @property
    def mean(self) -> float:
        return self.trials.mean if self.trials.mean is not None else float("-inf")

    @property
    def sd(self) -> float | None:
        """The standard deviation over seeds; None of one seed."""
        values = list(self.trials.values.values())
        return statistics.stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Tuned:
    """What was tried for each (model, method), and the metric of the dev set that chose; empty where nothing was.

    others: runs of the first stage that do not count, as they trained otherwise than those of the second.
    """

    settings: Mapping[tuple[str, str], Sequence[Tried]] = field(default_factory=dict)
    measured: Measured = field(default_factory=lambda: Measured("", "", {}))
    others: int = 0


def tuned(selection: Selection, measured: Measured) -> Tuned:
    """Return the settings of each method that was tried at two or more; a setting is what its cells differ in."""
    cells: dict[tuple[str, str], list[Trials]] = {}
    for cell in selection.cells:
        if measured.by_cell[cell.id].values:
            cells.setdefault((cell.model, cell.algo), []).append(measured.by_cell[cell.id])
    found = {}
    for place, trials in cells.items():
        params = [one.cell.params for one in trials]
        names = sorted({name for one in params for name in one} - NOT_CELL)
        own = [name for name in names if len({one.get(name) for one in params}) > 1]
        if own:
            settings = [
                Tried(tuple(f"{name}={one.cell.params[name]}" for name in own if name in one.cell.params), one)
                for one in sorted(trials, key=lambda one: [_order(one.cell.params.get(name)) for name in own])
            ]
            found[place] = settings
    order = sorted(found, key=lambda at: (conventions.model_order(at[0]), conventions.method_order(at[1])))
    return Tuned({place: found[place] for place in order}, measured)


def _order(text: str | None) -> tuple[int, float, str]:
    try:
        return 0, float(text or ""), ""
    except ValueError:
        return 1, 0.0, text or ""


def best(settings: Sequence[Tried]) -> Tried:
    """Return the setting with the highest mean; the first of equal ones."""
    return max(settings, key=lambda one: one.mean)


def edge_of(settings: Sequence[Tried]) -> str | None:
    """Return `lr=0.0008` where the best setting has the smallest or the largest number that was tried; else None."""
    return edge(best(settings).words, [one.words for one in settings])


def tables(of: Tuned) -> list[Table]:
    """Return one table, a line a setting; none where nothing was tuned."""
    if not of.settings:
        return []
    notes, blocks, measured = Notes(), [], of.measured
    scale = measured.scale
    for (model, algo), settings in of.settings.items():
        chosen, at_edge = best(settings), edge_of(settings)
        lines = []
        for one in settings:
            marks = []
            if one is chosen:
                marks.append(notes.fixed(CHOSEN, "chosen: the highest mean on the dev set"))
                if at_edge:
                    text = "at the edge of what was tried: values beyond it may be better"
                    marks.append(notes.fixed(AT_EDGE, text))
            sd = DASH if one.sd is None else f"± {measured.text(one.sd)}"
            entries = (
                Entry(measured.text(one.mean), one.mean * scale, marks=tuple(marks)),
                Entry(sd),
                Entry(str(len(one.trials.values)), len(one.trials.values)),
            )
            where = f"{conventions.model_title(model)} {conventions.method(algo)}"
            lines.append(Line(f"{where}, {' '.join(one.words)}", entries))
        blocks.append(tuple(lines))
    notes.plain("each method was tuned by itself, with the same number of runs, on seeds that no comparison uses")
    head = (("mean", 1), ("sd over seeds", 1), ("seeds", 1))
    title = f"Tuning: {captions.lower(captions.title(measured))} by setting"
    return [Table("tuning", title, ("Cell",), (head,), tuple(blocks), notes.all())]


def warnings(of: Tuned) -> list[str]:
    """Return a line for each method whose best setting is at the edge of what was tried, and one for runs that do not
    count."""
    text = "of the tuning on other data or with other steps than the comparison: left out"
    return [f"{several(of.others, 'run')} {text}"] * bool(of.others) + edges(of)


def edges(of: Tuned) -> list[str]:
    """Return a line for each method whose best setting is at the edge of what was tried."""
    return [
        f"{conventions.method(algo)} on {conventions.model_title(model)}: {at_edge} is at the edge of the "
        f"{several(len(settings), 'setting')} tried; values beyond it may be better"
        for (model, algo), settings in of.settings.items()
        if (at_edge := edge_of(settings))
    ]
