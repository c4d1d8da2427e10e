"""What is wrong with a file of tasks, known before a job is submitted: the columns verl reads, empty texts, tasks that
stand twice or on both sides of the split, and for mined data the content's hash and each task's committed file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gapo_lab.data.mining.format import mined_files
from gapo_lab.data.tasks import parquet_columns
from gapo_lab.data.user_rows import sets, usual_form

NEEDED = ("data_source", "prompt.role", "prompt.content")
TRUTH = "reward_model.ground_truth"  # mostly a text; tests may be lists and names
ROLES = ("system", "user", "assistant")
SHOWN = 3  # rows named for one kind of problem

# Turns a row's messages and its truth into their lengths in tokens.
Measure = Callable[[list[dict[str, str]], str], tuple[int, int]]


def validate(
    paths: Iterable[Path],
    measure: Measure | None = None,
    limits: tuple[int, int] | None = None,
    keys: Mapping[str, str] = sets.USUAL,
) -> list[str]:
    """Return the problems of some files that belong together, a line each; none when all is well.

    `measure` and `limits` (tokens of a prompt, tokens of a truth) also ask whether every row fits, which takes
    time. `keys`: the columns of a prompt, a truth and a source. Raises UserError for what is no parquet file.
    """
    problems, met = [], _Met()
    for path in paths:
        problems += [
            f"{path.name}: {problem}" for problem in _file(usual_form.open_file(path, keys), path, met, measure, limits)
        ]
    return problems


def _file(
    file: pq.ParquetFile, path: Path, met: _Met, measure: Measure | None, limits: tuple[int, int] | None
) -> Iterator[str]:
    schema = file.schema_arrow
    lacking = [name for name in NEEDED if not _is_text(parquet_columns.field(schema, name))]
    lacking += [TRUTH] if parquet_columns.field(schema, TRUTH) is None else []
    if lacking:
        yield f"no text column {', '.join(lacking)}: verl cannot read it"
        return
    if file.metadata.num_rows == 0:
        yield "no rows"
        return
    yield from _hash(path)
    found: dict[str, list[int]] = {}
    start = 0
    optional = ("extra_info.id", "extra_info.blob", "task.prefix", "task.suffix")
    columns = ["data_source", "prompt", TRUTH]
    columns += [name for name in optional if parquet_columns.field(schema, name) is not None]
    for batch in parquet_columns.batches(file, columns):
        for problem, rows in _batch(batch, columns):
            found.setdefault(problem, []).extend(start + row for row in rows)
        if "extra_info.id" in columns:
            for problem, rows in _twice(batch, path.name, met):
                found.setdefault(problem, []).extend(start + row for row in rows)
        if measure and limits:
            for problem, rows in _too_long(batch, measure, limits):
                found.setdefault(problem, []).extend(start + row for row in rows)
        start += len(batch)
    for problem, rows in ((problem, rows) for problem, rows in found.items() if rows):
        named = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
        yield f"{problem} in {len(rows):,} of {start:,} rows (row {named})"


def _is_text(found: pa.DataType | None) -> bool:
    return found is not None and (pa.types.is_string(found) or pa.types.is_large_string(found))


def _hash(path: Path) -> Iterator[str]:
    """Check the files of a mined folder against the hashes in its about.json."""
    if (said := mined_files(path.parent).get(path)) is not None:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != said:
                yield "is not the file that was mined: its hash differs from about.json"


def _batch(batch: pa.RecordBatch, columns: list[str]) -> Iterator[tuple[str, list[int]]]:
    truth = parquet_columns.of(batch, "reward_model", "ground_truth")
    is_text = _is_text(truth.type)
    yield (
        "no reference answer",
        _where(pc.fill_null(pc.equal(pc.utf8_length(truth), 0), True) if is_text else pc.is_null(truth)),
    )
    yield "no data_source", _where(pc.fill_null(pc.equal(pc.utf8_length(batch["data_source"]), 0), True))
    counts = pc.fill_null(pc.list_value_length(batch["prompt"]), 0)
    yield "no message in the prompt", _where(pc.equal(counts, 0))
    messages = batch["prompt"].flatten()
    parents = pc.list_parent_indices(batch["prompt"])
    roles, contents = (pc.struct_field(messages, name) for name in ("role", "content"))
    odd = pc.invert(pc.is_in(roles, value_set=pa.array(ROLES)))
    yield "a role other than system, user, assistant", sorted(set(parents.filter(odd).to_pylist()))
    empty = pc.fill_null(pc.equal(pc.utf8_length(contents), 0), True)
    yield "an empty message", sorted(set(parents.filter(empty).to_pylist()))
    if {"extra_info.blob", "task.prefix", "task.suffix"} <= set(columns):
        yield "the reference answer does not give the committed file", _not_committed(batch, truth)


def _not_committed(batch: pa.RecordBatch, truth: pa.Array) -> list[int]:
    """Rows whose code with the truth in it does not hash to the blob that git has (masked tasks have none)."""
    blobs = parquet_columns.of(batch, "extra_info", "blob").to_pylist()
    sides = (parquet_columns.of(batch, "task", "prefix"), truth, parquet_columns.of(batch, "task", "suffix"))
    edited = pc.binary_join_element_wise(*(side.cast(pa.binary()) for side in sides), b"")
    return [row for row, (blob, data) in enumerate(zip(blobs, edited, strict=True)) if blob and _git_blob(data) != blob]


def _git_blob(data: pa.Scalar) -> str | None:
    if not data.is_valid:
        return None
    content = data.as_buffer()
    sha = hashlib.sha1(b"blob %d\0" % content.size, usedforsecurity=False)
    sha.update(content)
    return sha.hexdigest()


class _Met:
    """Which task was met in which file, and under which set's name."""

    def __init__(self):
        self.homes: dict[str, str] = {}
        self.seen: set[tuple[str, str]] = set()

    def problem(self, source: str, task: str, file: str) -> str | None:
        """Return what is wrong with meeting a task here, or None. In another file it is a leak, in another set not."""
        if self.homes.setdefault(task, file) != file:
            return f"an example that is also in {self.homes[task]}"
        if (source, task) in self.seen:
            return "an example that stands twice"
        self.seen.add((source, task))
        return None


def _twice(batch: pa.RecordBatch, file: str, met: _Met) -> Iterator[tuple[str, list[int]]]:
    doubled: dict[str, list[int]] = {}
    ids = parquet_columns.of(batch, "extra_info", "id").to_pylist()
    for row, (source, task) in enumerate(zip(batch["data_source"].to_pylist(), ids, strict=True)):
        if task is not None and (problem := met.problem(source, task, file)):
            doubled.setdefault(problem, []).append(row)
    yield from doubled.items()


def _too_long(batch: pa.RecordBatch, measure: Measure, limits: tuple[int, int]) -> Iterator[tuple[str, list[int]]]:
    truths = parquet_columns.of(batch, "reward_model", "ground_truth").to_pylist()
    sizes = [measure(prompt, truth) for prompt, truth in zip(batch["prompt"].to_pylist(), truths, strict=True)]
    yield (
        f"a prompt of over {limits[0]} tokens",
        [row for row, size in enumerate(sizes) if size[0] > limits[0]],
    )
    yield (
        f"a reference answer of over {limits[1]} tokens",
        [row for row, size in enumerate(sizes) if size[1] > limits[1]],
    )


def _where(mask: pa.Array) -> list[int]:
    return pc.indices_nonzero(mask).to_pylist()
