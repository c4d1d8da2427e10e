"""What a report holds, from a source of runs: tables, pictures, facts, and what is missing. Writes nothing."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.paper import published
from analysis.render import html
from analysis.report import wording
from analysis.results import runs
from analysis.results.measurements import Measured, measure
from analysis.results.runs import Selection
from analysis.results.source import Source
from analysis.sources import connect
from analysis.tables import (
    against_paper,
    captions,
    differences,
    noise_and_tau,
    paper,
    statistics,
    training_data,
)
from analysis.tables.paper import Results
from analysis.tables.table import Table
from gapo_lab.errors import UserError

if TYPE_CHECKING:
    from analysis.figures.curves import Picture

ID, OOD = "val/id/em", "val/ood/em"
SUFFIX = {ID: "_id", OOD: "_ood"}


@dataclass(frozen=True)
class Asked:
    """What a report is asked for."""

    studies: tuple[str, ...]
    metric: str | None = None
    rows: tuple[str, ...] = ("algo",)
    columns: tuple[str, ...] = ("model",)
    pick: str | None = None
    spread: bool = False
    allow_incomplete: bool = False
    seeds: int | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    against_paper: bool = False
    figures: bool = True
    cases: Mapping[str, int] = field(default_factory=dict)
    runs_root: Path = Path("runs")
    data: Path | None = None

    @property
    def is_slice(self) -> bool:
        """Other axes or another metric than the paper's tables."""
        return self.metric is not None or (self.rows, self.columns) != (("algo",), ("model",))


@dataclass(frozen=True)
class Report:
    title: str
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    facts: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    verdicts: tuple[str, ...]
    links: tuple[html.Link, ...]
    measured: tuple[Measured, ...]
    experiments: Mapping[str, str]
    remarks: tuple[str, ...] = ()


def build(source: Source, asked: Asked) -> Report:
    """Read, check and draw. UserError where there is nothing to show, or cells are incomplete."""
    studies, everything = connect.find_runs(source, asked.studies, asked.runs_root)
    selection = runs.select(everything, asked.where)
    _check_there(source, asked, everything, selection)
    seeds = tuple(range(asked.seeds)) if asked.seeds else selection.seeds
    wanted = [asked.metric] if asked.metric else [ID] if asked.is_slice else [ID, OOD]
    measured = [measure(source, selection, name, asked.pick, asked.cases) for name in wanted]
    measured = [one for one in measured if any(t.values for t in one.by_cell.values())]
    if not measured:
        raise UserError(_no_metric(source, selection, wanted))
    incomplete = wording.incomplete(selection, seeds, measured)
    if incomplete and not asked.allow_incomplete:
        raise UserError(
            "cells are incomplete:\n  "
            + "\n  ".join(incomplete)
            + "\nfinish them (the same sweep command again), or "
            "have them marked: --allow-incomplete"
        )
    tables, drawn, left_out = [], {}, set(selection.left_out)
    remarks = wording.unknown(selection)
    for one in measured:
        cells = [cell for cell in selection.cells if one.by_cell[cell.id].values or not cell.runs]
        drawn[one.metric] = results = paper.results(cells, one, seeds, asked.rows, asked.columns)
        tables += _tables(asked, one, results)
    if asked.against_paper and not any(table.name.startswith("against") for table in tables):
        remarks.append(
            "nothing to hold against the paper: these runs share no model and metric with its tables"
        )
    first = drawn[measured[0].metric]
    noisy: dict[str, Results] = {}
    elsewhere: dict[str, set[str]] = {one.metric: set() for one in measured}
    for one in () if asked.is_slice else measured:
        if results := noise_and_tau.noise(selection, one, seeds):
            noisy[one.metric] = results
            elsewhere[one.metric] |= {cell.id for cell in results.grid.at.values()}
            tables += noise_and_tau.noise_tables(results, SUFFIX[one.metric], asked.spread)
        if results := noise_and_tau.tau(selection, one, seeds):
            elsewhere[one.metric] |= {cell.id for cell in results.grid.at.values()}
            tables += noise_and_tau.tau_tables(results, SUFFIX[one.metric], asked.spread)
    for metric, results in drawn.items():
        left_out |= set(results.grid.left_out(elsewhere[metric]))
    if not asked.is_slice:
        tables = _with_data_table(asked, selection, tables, remarks)
    extra, pictures = [], []
    if asked.figures and not asked.is_slice:
        from analysis.figures import (
            selection as drawing,  # matplotlib takes as long to import as all tables to make
        )

        by_noise = {captions.title(r.measured).rpartition(" on ")[2]: r for r in noisy.values()}
        pictures, extra, more = drawing.draw(
            source, selection, drawn.get(ID), asked.runs_root, remarks, by_noise
        )
        tables += more
    return Report(
        title=f"Stud{'ies' if len(asked.studies) > 1 else 'y'} {', '.join(asked.studies)}",
        tables=tuple(sorted(tables, key=_place)),
        pictures=tuple(pictures),
        facts=tuple(wording.facts(source.uri, selection, measured, seeds)),
        missing=(
            *incomplete,
            *(wording.absent(first) if first.grid.row_axes == ("algo",) else ()),
            *sorted(left_out),
        ),
        verdicts=(
            *(line for one in drawn.values() for line in captions.verdicts(one)),
            *(line for one in noisy.values() for line in noise_and_tau.noise_verdicts(one)),
        ),
        links=tuple(html.run_links(selection, source.uri)),
        measured=(*measured, *extra),
        experiments=studies,
        remarks=tuple(remarks),
    )


def _check_there(source: Source, asked: Asked, everything: Sequence, selection: Selection) -> None:
    names = ", ".join(asked.studies)
    if not everything:
        raise UserError(
            f"study {names} in {source.uri} has no runs yet: start one with study={shlex.quote(asked.studies[0])}"
        )
    if not selection.cells and asked.where:
        words = " ".join(f"{name}={value}" for name, value in asked.where.items())
        there = {n: sorted({r.params[n] for r in everything if n in r.params}) for n in asked.where}
        values = "; ".join(f"{n} is one of {', '.join(v) or 'nothing'}" for n, v in there.items())
        raise UserError(f"no run of study {names} has {words}: {values}")
    if not any(cell.runs for cell in selection.cells):
        raise UserError(f"no run of study {names} has finished: " + "; ".join(selection.left_out))


def _no_metric(source: Source, selection: Selection, wanted: Sequence[str]) -> str:
    there = source.metrics([run.id for run in selection.runs])
    near = difflib.get_close_matches(wanted[0], there, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(there) or 'none'}"
    return f"no finished run measured {' or '.join(wanted)}: {hint}"


def _place(table: Table) -> tuple[int, str]:
    """The paper's tables first, in its order, then what they are held against, then the statistics."""
    order = ("table", "slice", "noise", "tau", "rewards", "against", "comparisons", "statistics")
    place = next(number for number, start in enumerate(order) if table.name.startswith(start))
    return place, table.name if not place else ""


def _tables(asked: Asked, one: Measured, results: Results) -> list[Table]:
    title, out = captions.title(one), []
    trials = captions.trials(results, asked.spread)
    if asked.is_slice:
        words = [*asked.rows, "by", *asked.columns, one.metric]
        name = "slice_" + re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(words))
        out.append(paper.slice_table(results, name, f"{title}, {trials}", asked.spread))
        suffix = name.removeprefix("slice")
    else:
        suffix = SUFFIX[one.metric]
        name = {ID: "table2", OOD: "table4"}[one.metric]
        is_ood = one.metric == OOD
        out.append(paper.main_table(results, name, f"{title}, {trials}", not is_ood, is_ood, asked.spread))
        if not is_ood and (
            found := paper.ablation_table(
                results, "table5", f"GAPO's variants: {captions.lower(title)}, {trials}", asked.spread
            )
        ):
            out.append(found)
    out.append(statistics.cells_table(results, f"statistics{suffix}", f"{title}: seeds and test set"))
    if found := statistics.comparisons_table(
        results, f"comparisons{suffix}", f"{title}: methods on the same seeds"
    ):
        out.append(found)
    if asked.against_paper:
        for theirs in published.paper():
            if theirs.metric == one.metric:
                head = f"Against the paper's Table {theirs.table}: {captions.lower(title)}"
                out += against_paper.tables(results, theirs, f"against_table{theirs.table}", head)
        if not any(table.name.startswith("against") for table in out):
            head = f"Differences beside the paper's, which has other models: {captions.lower(title)}"
            beside = differences.table(results, published.paper(), f"against_paper{suffix}", head)
            out += [beside] if beside else []
    return out


def _with_data_table(
    asked: Asked, selection: Selection, tables: list[Table], remarks: list[str]
) -> list[Table]:
    path = asked.data or training_data.find(selection, asked.runs_root)
    if path is None:
        remarks.append("no Table 1: the training data are not on this machine (name them: --data FOLDER)")
        return tables
    return [training_data.table(path / "train.parquet" if path.is_dir() else path), *tables]
