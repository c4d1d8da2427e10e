"""Table 1 of the paper for any file of tasks: ranges of lengths, counts and percent by language."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gapo_lab.data.tasks import parquet_columns
from gapo_lab.data.user_rows import sets, usual_form
from gapo_lab.errors import UserError

NAMES = {
    "go": "Go",
    "python": "Python",
    "java": "Java",
    "cpp": "C++",
    "kotlin": "Kotlin",
    "typescript": "TypeScript",
    "javascript": "JavaScript",
    "c": "C",
    "rust": "Rust",
    "lua": "Lua",
}


@dataclass(frozen=True)
class Line:
    """One language, or all: shortest and longest prompt and truth in characters, tasks, their share in percent."""

    language: str
    input: tuple[int, int]
    output: tuple[int, int]
    count: int
    percent: float


def table(path: Path, keys: Mapping[str, str] = sets.USUAL) -> list[Line]:
    """Return the lines of one parquet file, most frequent language first, `Total` last.

    Raises UserError when the file lacks a column that this needs.
    """
    file = usual_form.open_file(path, keys)
    columns = ["prompt", "reward_model.ground_truth"]
    for name in ("prompt.content", *columns[1:]):
        if parquet_columns.field(file.schema_arrow, name) is None:
            raise UserError(f"{path}: no column {name}. See what else is wrong: python -m gapo_lab.data validate")
    groups = _groups(file.schema_arrow)
    languages, inputs, outputs = [], [np.zeros(0, int)], [np.zeros(0, int)]
    for batch in parquet_columns.batches(file, [*columns, *([groups] if groups else [])]):
        languages += parquet_columns.values(batch, groups).to_pylist() if groups else ["all"] * len(batch)
        inputs.append(parquet_columns.prompt_lengths(batch["prompt"]))
        outputs.append(parquet_columns.text_lengths(parquet_columns.of(batch, "reward_model", "ground_truth")))
    if not languages:
        raise UserError(f"{path}: no rows in it")
    return _lines(np.array([name or "other" for name in languages]), np.concatenate(inputs), np.concatenate(outputs))


def _lines(languages: np.ndarray, inputs: np.ndarray, outputs: np.ndarray) -> list[Line]:
    def line(name: str, chosen: np.ndarray) -> Line:
        shown, answer = ((int(one[chosen].min()), int(one[chosen].max())) for one in (inputs, outputs))
        return Line(name, shown, answer, int(chosen.sum()), 100 * int(chosen.sum()) / len(languages))

    found = [line(NAMES.get(name, name), languages == name) for name in np.unique(languages)]
    everything = line("Total", np.ones(len(languages), bool))
    return [*sorted(found, key=lambda line: (-line.count, line.language)), everything]


def as_text(lines: Sequence[Line]) -> str:
    """Return the table for a terminal, 60 columns wide."""
    cells = (
        (one.language, _range(one.input, "–"), _range(one.output, "–"), f"{one.count:,}", f"{one.percent:.2f}%")
        for one in lines
    )
    rows = [("", "Input chars", "Output chars", "Count", "Percent"), *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    text = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    rule = "─" * len(text[0])
    return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]]) + "\n"


def as_csv(lines: Sequence[Line]) -> str:
    """Return the table for a program: lengths in characters, a column each."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    write.writerow(["language", "input_min", "input_max", "output_min", "output_max", "count", "percent"])
    for line in lines:
        write.writerow([line.language, *line.input, *line.output, line.count, f"{line.percent:.2f}"])
    return out.getvalue()


def as_latex(lines: Sequence[Line], caption: str) -> str:
    """Return the table for a paper; needs booktabs."""
    rows = [
        f"{_tex(line.language)} & {_range(line.input, '--')} & {_range(line.output, '--')} & "
        f"{line.count:,} & {line.percent:.2f}\\% \\\\"
        for line in lines
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{_tex(caption)}}}",
            r"  \begin{tabular}{lrrrr}",
            r"    \toprule",
            r"    & Input & Output & Count & Percent \\",
            r"    \midrule",
            *(f"    {row}" for row in rows[:-1]),
            r"    \midrule",
            f"    {rows[-1]}",
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _groups(schema: Any) -> str:
    """Return the column that the lines of the table are of: the language of edits, else where the rows come from."""
    names = ("extra_info.language", "data_source")
    return next((name for name in names if parquet_columns.field(schema, name) is not None), "")


def _range(ends: tuple[int, int], dash: str) -> str:
    return f"{ends[0]:,} {dash} {ends[1]:,}"


def _tex(text: str) -> str:
    return "".join(f"\\{char}" if char in "&%$#_{}" else char for char in text)
