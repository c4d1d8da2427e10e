"""Files of tasks, whoever made them: finding them and reading them column by column. JSON lines are read as parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gapo_lab.errors import UserError
from gapo_lab.utils.text import first_line

ROWS = 1024  # read at a time


def find(path: Path) -> list[Path]:
    """A file, or the parquet and JSON lines files of a folder, training first. Raises UserError where there is none."""
    if path.is_file():
        return [path]
    there = [*path.glob("*.parquet"), *path.glob("*.jsonl")] if path.is_dir() else []
    found = [file for file in there if not file.name.startswith(".")]
    if not found:
        what = "no .parquet or .jsonl file in this folder" if path.is_dir() else "no such file or folder"
        raise UserError(f"{path}: {what}; make one: python -m gapo_lab.data mine REPO")
    return sorted(found, key=lambda file: (file.stem != "train", file.name))


def open_file(path: Path) -> pq.ParquetFile:
    """Raises UserError for a file that is no parquet file, or half of one; JSON lines are read into memory."""
    if path.suffix == ".jsonl":
        return _of_lines(path)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole parquet file ({first_line(error)})") from None


def _of_lines(path: Path) -> pq.ParquetFile:
    out = pa.BufferOutputStream()
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        names = dict.fromkeys(name for row in rows for name in row)
        pq.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), out)
    except (ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise UserError(f"{path}: not rows of one kind, a line each ({first_line(error, 120)})") from None
    return pq.ParquetFile(pa.BufferReader(out.getvalue()))


def batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of some columns, `struct.field` names one field."""
    try:
        yield from file.iter_batches(batch_size=ROWS, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"the parquet file is broken ({first_line(error)}); make it again") from None


def field(schema: pa.Schema, name: str) -> pa.DataType | None:
    """The type of a column, of a struct's field or of a list's element's field; None where it is not."""
    first, *rest = name.split(".")
    if schema.get_field_index(first) < 0:
        return None
    found = schema.field(first).type
    for part in rest:
        if pa.types.is_list(found) or pa.types.is_large_list(found):
            found = found.value_type
        if not pa.types.is_struct(found) or found.get_field_index(part) < 0:
            return None
        found = found.field(part).type
    return found


def of(batch: pa.RecordBatch, column: str, name: str) -> pa.Array:
    """A field of a struct column."""
    return pc.struct_field(batch[column], name)


def values(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column, or a field of one: `extra_info.language`."""
    column, _, part = name.partition(".")
    return of(batch, column, part) if part else batch[column]


def text_lengths(texts: pa.Array) -> np.ndarray:
    """The characters of each text; of what is no text, such as tests, those of its JSON."""
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        texts = pa.array([json.dumps(value, ensure_ascii=False, default=str) for value in texts.to_pylist()])
    return pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)


def prompt_lengths(prompts: pa.Array) -> np.ndarray:
    """The characters of all messages of each prompt."""
    lengths = pc.fill_null(pc.utf8_length(pc.struct_field(prompts.flatten(), "content")), 0).to_numpy(
        zero_copy_only=False
    )
    ends = np.cumsum(pc.fill_null(pc.list_value_length(prompts), 0).to_numpy(zero_copy_only=False))
    total = np.concatenate([[0], np.cumsum(lengths)])
    return total[ends] - total[np.concatenate([[0], ends[:-1]])]
