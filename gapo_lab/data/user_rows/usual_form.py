"""A file of rows as columns in verl's usual form, also where its rows are in another form that `data=parquet` takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gapo_lab.data.tasks import parquet_columns
from gapo_lab.data.user_rows import files, rows
from gapo_lab.data.user_rows.sets import USUAL
from gapo_lab.errors import UserError


def open_file(path: Path, keys: Mapping[str, str] = USUAL) -> pq.ParquetFile:
    """Open a file of rows. A prompt that is a text, no data_source, truths of several kinds or other columns (``keys``)
    are read as a trainer would read them. Raises UserError for what cannot be read."""
    if keys == USUAL:
        try:
            file = parquet_columns.open_file(path)
        except UserError:
            if path.suffix != files.LINES:
                raise
        else:
            if not _is_other_form(file.schema_arrow):
                return file
    else:
        _has_columns(path, keys)
    return _read(path, keys)


def _is_other_form(schema: pa.Schema) -> bool:
    """Whether rows can be used, though not as verl's columns."""
    prompt, source = (parquet_columns.field(schema, USUAL[key]) for key in ("prompt_key", "source_key"))
    has_both = prompt is not None and parquet_columns.field(schema, USUAL["truth_key"]) is not None
    return has_both and (source is None or pa.types.is_string(prompt) or pa.types.is_large_string(prompt))


def _has_columns(path: Path, keys: Mapping[str, str]) -> None:
    there = files.columns(path)
    for key in ("prompt_key", "truth_key"):
        if keys[key] not in there:
            shown = ", ".join(there)
            raise UserError(f"--{key.replace('_', '-')} {keys[key]}: no such column in {path}, which has {shown}")


def _read(path: Path, keys: Mapping[str, str]) -> pq.ParquetFile:
    found = []
    for place, number, row in files.rows((path,)):
        made = rows.as_task(row, place, number, path.stem, number, keys)
        source = made["extra_info"][rows.LAB]["data_source"]
        truth = {"ground_truth": made["reward_model"]["ground_truth"]}
        found.append({"data_source": source, "prompt": made["prompt"], "reward_model": truth})
    if not found:
        raise UserError(f"{path}: no rows in it")
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(found), out)
    return pq.ParquetFile(pa.BufferReader(out.getvalue()))
