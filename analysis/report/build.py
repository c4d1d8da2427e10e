"""What a report holds, from a source of runs: tables, pictures, facts, and what is missing. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.paper import conventions, published
from analysis.report import dev_set, no_result, stages, wording
from analysis.report.options import Asked
from analysis.results import runs
from analysis.results.measurements import Measured, at_the_end, measure
from analysis.results.runs import Run, Selection
from analysis.results.source import Source
from analysis.sources import cases, connect
from analysis.statistics import families
from analysis.tables import (
    against_paper,
    captions,
    claims,
    conclusions,
    differences,
    new_cases,
    noise_and_tau,
    paper,
    sequential,
    speed,
    statistics,
    training_data,
    tuning,
)
from analysis.tables.document import Document, Picture, front_first
from analysis.tables.paper import Results
from analysis.tables.table import Table
from gapo_lab.errors import UserError
from gapo_lab.runs import measures
from gapo_lab.utils.key_names import did_you_mean


@dataclass(frozen=True)
class Report:
    """The pages, and what they were drawn from. results: of each metric of the tables."""

    document: Document
    selection: Selection
    measured: tuple[Measured, ...]
    results: Mapping[str, Results]


@dataclass(frozen=True)
class ByAxis:
    """The results by noise of each metric, the tables by noise and by tau, and the cells that these show, by metric."""

    noisy: Mapping[str, Results]
    tables: tuple[Table, ...]
    shown: Mapping[str, frozenset[str]]


def build(source: Source, asked: Asked) -> Report:
    """Read, check and draw. UserError where there is nothing to show, or cells are incomplete."""
    selection = _selected(source, asked)
    conventions.take_labels((run.params["algo"], run.tags.get("gapo.label")) for run in selection.runs)
    asked = _about(source, asked, selection)
    seeds = tuple(range(asked.seeds)) if asked.seeds else selection.seeds
    measured = _measured(source, asked, selection)
    incomplete = wording.incomplete(selection, seeds, measured)
    if incomplete and not asked.allow_incomplete:
        raise UserError(
            "cells are incomplete:\n  " + "\n  ".join(incomplete) + "\nFinish them (the same sweep command again), or "
            "have them marked: --allow-incomplete. A run that no command makes any more, because its reward or another "
            "file was edited, is removed with: python -m gapo_lab forget KEY --with-results"
        )
    drawn = _confirmed(asked, selection, {one.metric: _results(asked, selection, one, seeds) for one in measured})
    tables = [table for results in drawn.values() for table in _tables(asked, results)]
    curves = dev_set.fitted(source, asked, selection, drawn)
    tables += [*_new_cases(asked, drawn), *_bets(asked, drawn), *curves]
    remarks = [*source.problems(), *wording.open_claims(selection, drawn)]
    if asked.against_paper and not any(table.name.startswith("against") for table in tables):
        remarks.append("no comparison with the paper: these runs share no model and metric with its tables")
    by_axis = _by_axis(asked, selection, measured, seeds)
    notice, is_papers = no_result.notice(selection), conventions.STUDIES.issuperset(asked.studies)
    pictures: tuple[Picture, ...] = ()
    more: tuple[Measured, ...] = ()
    tuned = stages.tuning(source, asked, selection)
    tables, remarks = [*tables, *tuning.tables(tuned)], [*remarks, *tuning.warnings(tuned)]
    if not asked.is_slice:
        data = _data_table(asked, selection)
        if data is None:
            remarks.append("no table of the training data: they are not on this machine (name them: --data FOLDER)")
        tables = [*([data] if data else []), *tables, *by_axis.tables]
    if asked.figures and not asked.is_slice:
        # matplotlib takes as long to import as all tables to make
        from analysis.figures import drawing
        from analysis.figures import selection as figures
        from analysis.figures import tuning as tuning_figure

        by_noise = {captions.title(r.measured).rpartition(" on ")[2]: r for r in by_axis.noisy.values()}
        with drawing.font(asked.font):
            shown = drawn.get(asked.metrics[0])
            found = figures.draw(source, selection, shown, asked.runs_root, by_noise, is_papers)
            drawings = (*found.drawings, *tuning_figure.draw(tuned))
            pictures = tuple(drawing.render(one, no_result.short(selection)) for one in drawings)
        more, tables, remarks = found.measured, [*tables, *found.tables], [*remarks, *found.remarks]
    document = front_first(
        Document(
            title=f"Stud{'ies' if len(asked.studies) > 1 else 'y'} {', '.join(asked.studies)}",
            notice=notice,
            facts=tuple(wording.facts(selection, measured, seeds)),
            missing=(*incomplete, *_missing(selection, drawn, by_axis), *remarks),
            verdicts=() if notice else tuple(_verdicts(drawn, by_axis)),
            tables=tuple(sorted(no_result.marked(tables, no_result.short(selection)), key=_place)),
            pictures=pictures,
            cautions=() if notice else tuple(wording.cautions(drawn)),
            claims=() if notice else tuple(line for one in drawn.values() for line in conclusions.sentences(one)),
            is_papers=is_papers,
        )
    )
    on_dev = dev_set.on_dev_set(source, asked, selection, drawn)
    return Report(document, selection, (*measured, *on_dev, *more), drawn)


def _selected(source: Source, asked: Asked) -> Selection:
    """Return the runs that count; UserError, with the reason, where no run of the studies has finished."""
    everything = connect.find_runs(source, asked.studies, asked.runs_root)
    selection = runs.select(everything, asked.where)
    names = ", ".join(asked.studies)
    if not selection.cells and asked.where:
        words = " ".join(f"{name}={value}" for name, value in asked.where.items())
        raise UserError(f"no run of study {names} has {words}: {_values(everything, asked.where)}")
    if not any(cell.runs for cell in selection.cells):
        raise UserError(f"no run of study {names} has finished: " + "; ".join(selection.left_out))
    return selection


def _about(source: Source, asked: Asked, selection: Selection) -> Asked:
    """Return what is asked for, with the main measure of these runs on each of their test sets."""
    if asked.metric is not None:
        return asked
    found = measures.metrics_of(source.summarised([run.id for run in selection.runs]))
    return replace(asked, tests=tuple(found)) if found else asked


def _values(everything: Sequence[Run], names: Mapping[str, str]) -> str:
    """Return the values that these parameters have."""
    there = {name: sorted({r.params[name] for r in everything if name in r.params}) for name in names}
    return "; ".join(f"{name} is one of {', '.join(values) or 'nothing'}" for name, values in there.items())


def _measured(source: Source, asked: Asked, selection: Selection) -> list[Measured]:
    """Return the metrics of the tables that some run has; UserError where none has any."""
    exactly = asked.metric is not None
    found = [measure(source, selection, name, asked.pick, asked.cases, exactly) for name in asked.metrics]
    found = [one for one in found if any(t.values for t in one.by_cell.values())]
    if not found:
        there = source.metrics([run.id for run in selection.runs])
        hint = did_you_mean(asked.metrics[0], there) or f"there are: {', '.join(there) or 'none'}"
        raise UserError(f"no finished run measured {' or '.join(asked.metrics)}: {hint}")
    return found


def _results(asked: Asked, selection: Selection, one: Measured, seeds: Sequence[int]) -> Results:
    cells = [cell for cell in selection.cells if one.by_cell[cell.id].values or not cell.runs]
    return paper.results(cells, one, seeds, asked.rows, asked.columns, claims.pairs(selection.runs, one.metric))


def _confirmed(asked: Asked, selection: Selection, drawn: Mapping[str, Results]) -> dict[str, Results]:
    """Return the results with the study's claims judged; what no run named, the paper's tables claim, a slice
    nothing."""
    named = claims.of_runs(selection.runs)
    if named is None:
        named = () if asked.is_slice else claims.papers(list(drawn))
    found = families.confirmed({metric: one.comparisons for metric, one in drawn.items()}, named)
    return {metric: replace(one, comparisons=found[metric]) for metric, one in drawn.items()}


def _by_axis(asked: Asked, selection: Selection, measured: Sequence[Measured], seeds: Sequence[int]) -> ByAxis:
    """Return what the paper's tables leave out: runs with noise, and with another tau."""
    noisy: dict[str, Results] = {}
    tables: list[Table] = []
    shown: dict[str, set[str]] = {one.metric: set() for one in measured}
    for one in () if asked.is_slice else measured:
        # a run that unlearns is at its best on the dev set before it trains: that would compare untrained models
        ended = at_the_end(one) if one.pick == "dev" and asked.pick is None else one
        if results := noise_and_tau.noise(selection, ended, seeds):
            noisy[one.metric] = results
            shown[one.metric] |= {cell.id for cell in results.grid.at.values()}
            tables += noise_and_tau.noise_tables(results, _suffix(one.metric), asked.spread)
        if results := noise_and_tau.tau(selection, one, seeds):
            shown[one.metric] |= {cell.id for cell in results.grid.at.values()}
            tables += noise_and_tau.tau_tables(results, _suffix(one.metric), asked.spread)
    return ByAxis(noisy, tuple(tables), {metric: frozenset(ids) for metric, ids in shown.items()})


def _missing(selection: Selection, drawn: Mapping[str, Results], by_axis: ByAxis) -> list[str]:
    """Places without a result, runs that do not count, and cells that no table shows."""
    first = next(iter(drawn.values()))
    left_out = set(selection.left_out)
    for metric, results in drawn.items():
        left_out |= set(results.grid.left_out(by_axis.shown[metric]))
    absent = wording.absent(first) if first.grid.row_axes == ("algo",) else []
    return [*absent, *sorted(left_out)]


def _suffix(metric: str) -> str:
    """Return what the names of a test set's tables end with: `_id`."""
    return f"_{metric.split('/')[1]}"


def _verdicts(drawn: Mapping[str, Results], by_axis: ByAxis) -> list[str]:
    said = [line for one in drawn.values() for line in captions.verdicts(one)]
    return said + [line for one in by_axis.noisy.values() for line in noise_and_tau.noise_verdicts(one)]


def _new_cases(asked: Asked, drawn: Mapping[str, Results]) -> list[Table]:
    """Return the claims over seeds and cases at once, of runs whose folders are here and hold what they answered."""
    found = []
    for metric, results in () if asked.is_slice else drawn.items():
        needed, name = new_cases.cells_needed(results), results.measured.name
        answered = {
            trials.cell.id: {run.seed: cases.of_run(asked.runs_root, run.identity, name) for run in trials.cell.runs}
            for trials in results.measured.by_cell.values()
            if trials.cell.id in needed
        }
        title = f"{captions.title(results.measured)}: seeds and cases"
        found.append(new_cases.table(results, answered, f"comparisons_cases{_suffix(metric)}", title))
    return [table for table in found if table]


def _bets(asked: Asked, drawn: Mapping[str, Results]) -> list[Table]:
    """Return the claims as bets that may be looked at after every seed."""
    number = sum(one.is_claim for results in drawn.values() for one in results.comparisons)
    found = [
        sequential.table(
            results, number, f"comparisons_seeds{_suffix(metric)}", f"{captions.title(results.measured)}: adding seeds"
        )
        for metric, results in drawn.items()
        if not asked.is_slice
    ]
    return [table for table in found if table]


def _place(table: Table) -> tuple[int, str]:
    """Return the main tables first, in the paper's order, then what they are held against, then the statistics."""
    order = ("table", "slice", "tuning", "rewards", "noise", "tau", "against", "comparisons", "statistics")
    place = next(number for number, start in enumerate(order) if table.name.startswith(start))
    return place, table.name if not place else ""


def _tables(asked: Asked, results: Results) -> list[Table]:
    """Return the tables of one metric: the paper's or a slice, and the statistics behind them."""
    one = results.measured
    title, trials = captions.title(one), captions.trials(results, asked.spread)
    suffix = asked.suffix(one.metric)
    if asked.is_slice:
        found = [paper.slice_table(results, f"slice{suffix}", f"{title}, {trials}", asked.spread)]
    else:
        found = _papers_tables(results, title, trials, asked.spread)
    found.append(statistics.cells_table(results, f"statistics{suffix}", f"{title}: seeds and test set"))
    compared = statistics.comparisons_table(results, f"comparisons{suffix}", f"{title}: methods compared")
    fast = speed.table(results, f"comparisons_speed{suffix}", f"{title}: how fast") if one.is_share else None
    found += [table for table in (compared, fast) if table]
    return found + (_against(results, title, suffix) if asked.against_paper else [])


def _papers_tables(results: Results, title: str, trials: str, spread: bool) -> list[Table]:
    """Tables 2 and 5, or 4; of a further test set one that is called after it."""
    where = results.measured.metric.split("/")[1]
    if where != "id":
        name = "table4" if where == "ood" else f"table_{where}"
        return [paper.main_table(results, name, f"{title}, {trials}", False, True, spread)]
    head = f"GAPO's variants: {captions.lower(title)}, {trials}"
    variants = paper.ablation_table(results, "table5", head, spread)
    main = paper.main_table(results, "table2", f"{title}, {trials}", True, False, spread)
    return [main, variants] if variants else [main]


def _against(results: Results, title: str, suffix: str) -> list[Table]:
    """Ours beside the paper's: the same cells, or where the models are others the differences between methods."""
    found = []
    for theirs in published.paper():
        if theirs.metric == results.measured.metric:
            head = f"Against the paper's Table {theirs.table}: {captions.lower(title)}"
            found += against_paper.tables(results, theirs, f"against_table{theirs.table}", head)
    if found:
        return found
    head = f"Differences beside the paper's, which has other models: {captions.lower(title)}"
    beside = differences.table(results, published.paper(), f"against_paper{suffix}", head)
    return [beside] if beside else []


def _data_table(asked: Asked, selection: Selection) -> Table | None:
    """Table 1; None where the training data are not on this machine."""
    path = asked.data or training_data.find(selection, asked.runs_root)
    return None if path is None else training_data.table(path / "train.parquet" if path.is_dir() else path)
