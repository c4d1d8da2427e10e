"""Table 1: what the training data hold, by language. From a parquet file in verl's format."""

from __future__ import annotations

from pathlib import Path

from analysis.results.runs import Selection
from analysis.tables.table import Entry, Line, Table
from gapo_lab.data import length_table
from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder


def table(path: Path, name: str = "table1") -> Table:
    """Lengths (characters) of prompt and truth from shortest to longest, count and share of each language."""
    if not path.is_file():
        raise UserError(f"{path} is not there. Give --data a train.parquet, or the folder that holds it")
    *languages, total = map(_line, length_table.table(path))
    head = tuple((text, 1) for text in ("Input", "Output", "Count", "Percent"))
    notes = (("", "Input, Output: lengths in characters of prompt and reference answer, shortest to longest"),)
    return Table(
        name,
        "Training data",
        ("Language",),
        (head,),
        (tuple(languages), (total,)),
        notes,
        (f"from {path.name}",),
    )


def _line(one: length_table.Line) -> Line:
    spans = (Entry(f"{low:,} – {high:,}") for low, high in (one.input, one.output))
    return Line(
        one.language,
        (*spans, Entry(f"{one.count:,}", one.count), Entry(f"{one.percent:.2f}%", one.percent)),
        "other",
    )


def find(selection: Selection, runs_root: Path) -> Path | None:
    """Return the training data that a run of the selection names in its run folder, where both are on this machine."""
    for run in selection.runs if runs_root.is_dir() else ():
        place = RunFolder(runs_root / run.identity).data_folder()
        if place and (place / "train.parquet").exists():
            return place / "train.parquet"
    return None
