"""Files of rows, parquet or JSON lines: what a word such as `data/*.parquet` means, what is in them, what they hash to.

Reading columns and hashing costs what the files' size costs; nothing here looks at a model.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.utils.text import first_line

SUFFIXES = (".parquet", ".jsonl")
LINES = ".jsonl"
# Of a file's SHA-256: enough to tell files apart.
DIGITS = 16


def find(key: str, value: Any) -> tuple[Path, ...]:
    """The files that the setting `key=value` means: a file, a folder, a pattern, or a list of them; in order of name.

    Raises UserError where there is none.
    """
    words = value if isinstance(value, (list, tuple)) else [value]
    if not words:
        raise UserError(f"{key}=[]: names no file. Give a .parquet or .jsonl file, a folder of them, or a pattern.")
    return tuple(path for word in words for path in _found(key, word))


def _found(key: str, word: Any) -> list[Path]:
    if not isinstance(word, str) or not word:
        raise UserError(f"{key}={word}: must be a file, a folder or a pattern such as data/*.parquet")
    path = Path(word).expanduser()
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
        if not found:
            raise UserError(f"{key}={word}: no .parquet or .jsonl file in this folder")
        return found
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise UserError(f"{key}={word}: must be a .parquet or a .jsonl file")
        return [path]
    found = sorted(file for file in map(Path, glob.glob(str(path))) if file.suffix in SUFFIXES and file.is_file())
    if not found:
        raise UserError(f"{key}={word}: no such file or folder")
    return found


def digest(path: Path) -> str:
    """The first `DIGITS` hex digits of a file's SHA-256."""
    about = path.stat()
    return _digest(path.absolute(), about.st_mtime_ns, about.st_size)


@cache
def _digest(path: Path, _changed: int, _size: int) -> str:
    """The cells of a grid share their files: each is read once, and again when it has changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]


def columns(path: Path) -> list[str]:
    """The columns of a file, a field of a column as `reward_model.ground_truth`; of JSON lines those of the first row.

    Raises UserError for a file that cannot be read, or has no rows.
    """
    if path.suffix == LINES:
        first = next(_lines(path), None)
        if first is None:
            raise UserError(f"{path}: no rows in it")
        return [name for key, value in first.items() for name in _names(key, value)]
    from gapo_lab.data.tasks import parquet_columns

    file = parquet_columns.open_file(path)
    if file.metadata.num_rows == 0:
        raise UserError(f"{path}: no rows in it")
    return [name for field in file.schema_arrow for name in _fields(field)]


def _names(key: str, value: Any) -> list[str]:
    return [key, *(f"{key}.{name}" for name in value)] if isinstance(value, dict) else [key]


def _fields(field: Any) -> list[str]:
    below = [field.type.field(at).name for at in range(field.type.num_fields)] if hasattr(field.type, "field") else []
    return [field.name, *(f"{field.name}.{name}" for name in below)]


def rows(paths: Iterable[Path]) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """Each row of the files, with its file and its number there (from 0)."""
    for path in paths:
        for number, row in enumerate(_lines(path) if path.suffix == LINES else _parquet(path)):
            yield path, number, row


def count(paths: Iterable[Path]) -> int:
    """How many rows the files have."""
    return sum(_count(path.absolute(), path.stat().st_mtime_ns) for path in paths)


@cache
def _count(path: Path, _changed: int) -> int:
    from gapo_lab.data.tasks import parquet_columns

    if path.suffix == LINES:
        with open(path, "rb") as file:
            return sum(1 for line in file if line.strip())
    return parquet_columns.open_file(path).metadata.num_rows


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    from gapo_lab.data.tasks import parquet_columns

    with parquet_columns.open_file(path) as file:
        for batch in parquet_columns.batches(file, file.schema_arrow.names):
            yield from batch.to_pylist()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise UserError(f"{path}, line {number}: is not a row, {{...}}")
                yield row
    except ValueError as error:  # JSON's and Unicode's
        raise UserError(f"{path}: cannot be read as JSON lines ({first_line(error, 120)})") from None
