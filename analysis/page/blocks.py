"""The parts of a results page, each by its name, from the runs of a study that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.page.progress import Part, Progress
from analysis.paper import conventions
from analysis.render import markdown
from analysis.report import build, stages
from analysis.report.build import Report
from analysis.report.options import Asked
from analysis.results.measurements import measure
from analysis.sources.run_folders import RunFolders
from analysis.statistics import families
from analysis.tables import claims, mechanism, test_sets, tuning
from analysis.tables.paper import Results
from analysis.tables.table import Table
from analysis.tables.tuning import Tuned
from gapo_lab.search.tuning import STUDY, Choice
from gapo_lab.utils.key_names import short
from gapo_lab.utils.text import several

if TYPE_CHECKING:
    from analysis.figures.drawing import Drawing

# What of a report stands in which part, by the beginning of a table's name.
NOISE = ("noise_id", "comparisons_noise_id", "comparisons_lost_id")
# Beside the main measure on each test set: more than lower entropy shows in them, too.
ALSO = ("val/id/em_expected_t50", "val/id/em_greedy")
ALSO_OOD = ("val/ood/em_expected_t50", "val/ood/em_greedy")
STEPS = "Step Δ"


@dataclass(frozen=True)
class Parts:
    """blocks: name -> Markdown; pictures: name of a file -> its content."""

    blocks: Mapping[str, str]
    pictures: Mapping[str, bytes]


@dataclass(frozen=True)
class _Album:
    """Where the page finds its pictures, and what their names begin with."""

    folder: str
    of: str = ""

    def name(self, picture: str) -> str:
        return f"{self.of}-{picture}.svg" if self.of else f"{picture}.svg"


@dataclass(frozen=True)
class _Drawn:
    """Markdown of a part with a picture, and the picture."""

    text: str
    pictures: dict[str, bytes]


def make(root: Path, progress: Progress, images: str, of: str = "") -> Parts:
    """Return all parts. root: run folders, of which none but those that count are there; images: the folder of the
    pictures as the page names it; of: what names begin with, for another study of the page than the first."""
    source = RunFolders(root)
    tuned, report = Tuned(), None
    counting = progress.counting
    if counting[STUDY.format(progress.study)]:
        tuned = stages.tuning(source, Asked(studies=(progress.study,), runs_root=root))
    if counting[progress.study]:
        asked = Asked(studies=(progress.study,), runs_root=root, spread=True, figures=False)
        report = build.build(source, asked)
    album = _Album(images, of)
    drawn = {"picture": _at_best(report, progress, album), "curves": _curves(report, album)}
    if not progress.is_at_one_setting:
        drawn["tuning"] = _tuning(tuned, album)
    blocks = {
        "progress": _progress(progress),
        "claims": _claims(report),
        "mechanism": _mechanism(report),
        "test_sets": _test_sets(source, report, progress),
        "facts": _facts(report),
        **{name: one.text for name, one in drawn.items()},
    }
    if any(part.noise for part in progress.comparison):
        blocks["noise"] = _noise(report)
    pictures = {name: content for one in drawn.values() for name, content in one.pictures.items()}
    begin = f"{of}:" if of else ""
    return Parts({f"{begin}{name}": text or _not_yet(progress) for name, text in blocks.items()}, pictures)


def _not_yet(progress: Progress) -> str:
    return f"*Not there yet: {progress.finished} of {several(progress.planned, 'run')} are finished.*"


def _progress(progress: Progress) -> str:
    """Say how far the study is; a line a method while it is not finished."""
    if progress.is_finished:
        return _all(progress)
    shown = (
        "A method is shown below once all of its runs are there: to look at some of them, and again at more, finds "
        "differences that are not there"
    )
    stages = ("comparison",) if progress.is_at_one_setting else ("tuning", "comparison")
    lines = [
        f"**Unfinished: {progress.finished} of {progress.planned} runs.** {shown}.",
        "",
        f"| method | {' | '.join(stages)} |",
        f"|:--|{'--:|' * len(stages)}",
    ]
    methods = list(dict.fromkeys((part.method, part.model) for part in (*progress.tuning, *progress.comparison)))
    several_models = len({model for _, model in methods}) > 1
    for method, model in methods:
        tuned = [_of(one) for one in progress.tuning if (one.method, one.model) == (method, model)]
        compared = [one for one in progress.comparison if (one.method, one.model) == (method, model)]
        texts = [_of(one) + (f" (noise {one.noise:g})" if one.noise else "") for one in compared]
        where = f" on {conventions.model_title(model)}" if several_models else ""
        lines.append(f"| {conventions.method(method)}{where} | {' | '.join([*tuned, ', '.join(texts)])} |")
    return "\n".join(lines)


def _all(progress: Progress) -> str:
    said = f"All {progress.planned} runs of the study are finished"
    if progress.is_at_one_setting:
        return f"{said}."
    of_tuning = sum(part.planned for part in progress.tuning)
    return f"{said}: {of_tuning} tune the methods, {progress.planned - of_tuning} compare them."


def _of(part: Part) -> str:
    return f"{part.finished} of {part.planned}"


def _claims(report: Report | None) -> str:
    if report is None:
        return ""
    lines = [
        f"- {markdown.words(line)}"
        for line in (*report.document.cautions, *report.document.claims, *_open_claims(report))
    ]
    tables = _named(report, ("comparisons_id", "comparisons_cases_id"))
    return "\n\n".join(["\n".join(lines), *map(markdown.section, tables)])


def _open_claims(report: Report) -> list[str]:
    """Return a sentence for each claim of which a method is not complete yet."""
    compared = {metric: results.comparisons for metric, results in report.results.items()}
    return [
        f"{conventions.method(claim.method)} over {conventions.method(claim.baseline)}, {claim.metric}: not judged yet."
        for claim in claims.of_runs(report.selection.runs) or ()
        if families.answer(compared.get(claim.metric, ()), claim) is None
    ]


def _mechanism(report: Report | None) -> str:
    if report is None:
        return ""
    return "\n\n".join(map(markdown.section, mechanism.tables(_main(report))))


def _test_sets(source: RunFolders, report: Report | None, progress: Progress) -> str:
    if report is None:
        return ""
    main = [one.measured for one in report.results.values()]
    more = {name: measure(source, report.selection, name, exactly=True) for name in (*ALSO, *ALSO_OOD)}
    there = [one for one in more.values() if any(trials.values for trials in one.by_cell.values())]
    ordered = sorted([*main, *there], key=lambda one: one.metric.split("/")[1] != "id")
    cells = list(_main(report).grid.at.values())
    settings = {choice.method: _chosen(choice) for choice in progress.chosen}
    return markdown.section(test_sets.table(cells, ordered, settings))


def _chosen(choice: Choice) -> str:
    """Return `lr=8e-4 tau=0.5`: of the words with long keys those that not all candidates have."""
    pairs = [word.partition("=") for word in choice.best if not all(word in one for one in choice.candidates)]
    keys = {key for key, _, _ in pairs}
    return " ".join(f"{short(key, keys)}={value}" for key, _, value in pairs)


def _noise(report: Report | None) -> str:
    tables = map(_without_steps, _named(report, NOISE))
    return "\n\n".join(map(markdown.section, tables))


def _without_steps(table: Table) -> Table:
    """Leave the paper's Step-delta out: it restates accuracy, and its notes are longer than it."""
    blocks = tuple(tuple(line for line in block if line.label != STEPS) for block in table.blocks)
    marks = {mark for block in blocks for line in block for entry in line.entries for mark in entry.marks}
    notes = tuple(note for note in table.notes if (note[0] in marks if note[0] else not note[1].startswith(STEPS)))
    return replace(table, blocks=blocks, notes=notes)


def _facts(report: Report | None) -> str:
    if report is None:
        return ""
    facts = [fact for fact in report.document.facts if fact[0] != markdown.LOCAL]
    return "\n".join(f"- {markdown.words(name)}: {markdown.words(value)}" for name, value in facts)


def _at_best(report: Report | None, progress: Progress, album: _Album) -> _Drawn:
    if report is None:
        return _Drawn("", {})
    from analysis.figures import at_best

    at = "all at the same settings" if progress.is_at_one_setting else at_best.OWN
    return _figure(at_best.draw(_main(report), "methods", at), album)


def _curves(report: Report | None, album: _Album) -> _Drawn:
    if report is None:
        return _Drawn("", {})
    from analysis.figures import families

    found = _figure(families.draw(_main(report), "curves"), album)
    tables = _named(report, ("comparisons_speed_id", "statistics_curves_dev", "statistics_curves_id"))
    return _Drawn("\n\n".join([found.text, *map(markdown.section, tables)]), found.pictures)


def _tuning(tuned: Tuned, album: _Album) -> _Drawn:
    if not tuned.settings:
        return _Drawn("", {})
    from analysis.figures import tuning as tuning_figure

    figures = [_figure(one, album, "tuning") for one in tuning_figure.draw(tuned)]
    edges = [f"- {markdown.words(line)}" for line in tuning.edges(tuned)]
    texts = [*map(markdown.section, tuning.tables(tuned)), *(one.text for one in figures), "\n".join(edges)]
    return _Drawn("\n\n".join(filter(None, texts)), {k: v for one in figures for k, v in one.pictures.items()})


def _figure(drawing: Drawing | None, album: _Album, name: str = "") -> _Drawn:
    if drawing is None:
        return _Drawn("", {})
    from analysis.figures.drawing import svg

    file = album.name(name or drawing.name)
    caption = markdown.words(drawing.caption)
    return _Drawn(f"![{caption}]({album.folder}/{file})\n\n{caption}", {file: svg(drawing)})


def _main(report: Report) -> Results:
    """Return the results of the main measure on the ID test set."""
    return next(iter(report.results.values()))


def _named(report: Report | None, names: Sequence[str]) -> list[Table]:
    by_name = {table.name: table for table in report.document.tables} if report else {}
    return [by_name[name] for name in names if name in by_name]
