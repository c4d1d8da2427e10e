"""Tasks as rows of a parquet file in verl's format, and back.

A row has what verl reads (`data_source`, `agent_name`, `prompt`, `ability`, `reward_model`, `extra_info`) and, in a
mined file, `task`: the parts of Table 3, from which the prompt can be rendered anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gapo_lab.data.tasks.prompt import Budget, Template, messages
from gapo_lab.data.tasks.task import SAMPLED_AGENT, Hunk, Task, verl_row
from gapo_lab.utils import atomic_files

PROVENANCE = ("repository", "licence", "commit", "path", "time", "blob", "masked")

_TEXT = pa.string()
SCHEMA = pa.schema(
    [
        ("data_source", _TEXT),
        ("agent_name", _TEXT),
        ("prompt", pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))),
        ("ability", _TEXT),
        ("reward_model", pa.struct([("style", _TEXT), ("ground_truth", _TEXT)])),
        (
            "extra_info",
            pa.struct(
                [("index", pa.int64()), ("id", _TEXT), ("language", _TEXT), ("kind", _TEXT)]
                + [(name, _TEXT) for name in PROVENANCE]
            ),
        ),
        (
            "task",
            pa.struct(
                [
                    ("history", pa.list_(pa.struct([("path", _TEXT), ("before", _TEXT), ("after", _TEXT)]))),
                    *((name, _TEXT) for name in ("path", "prefix", "region", "suffix", "instruction")),
                    ("cursor", pa.int64()),
                ]
            ),
        ),
    ]
)


def row(task: Task, index: int, source: str, template: Template, budget: Budget) -> dict[str, Any]:
    """One task as a row; `source` is the name of its set."""
    about = {name: task.provenance.get(name, "") for name in PROVENANCE}
    prompt = messages(task, template, budget)
    return {
        **verl_row(task, index, source, SAMPLED_AGENT, prompt, **about),
        "task": {
            "history": [{"path": hunk.path, "before": hunk.before, "after": hunk.after} for hunk in task.history],
            **{part: getattr(task, part) for part in ("path", "prefix", "region", "suffix", "instruction", "cursor")},
        },
    }


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as an Arrow table of SCHEMA."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def task(row: dict[str, Any]) -> Task:
    """The task of a row that has one."""
    parts, about = row["task"], row["extra_info"]
    return Task(
        id=about["id"],
        language=about["language"],
        kind=about["kind"],
        truth=row["reward_model"]["ground_truth"],
        provenance={name: about[name] for name in PROVENANCE if about[name]},
        history=tuple(Hunk(**hunk) for hunk in parts["history"]),
        **{part: parts[part] for part in ("path", "prefix", "region", "suffix", "instruction", "cursor")},
    )


def read_tasks(path: Path) -> Iterator[Task]:
    """The tasks of a mined parquet file, a batch of rows in memory at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=256, columns=["reward_model", "extra_info", "task"]):
            yield from map(task, batch.to_pylist())


@contextlib.contextmanager
def whole(path: Path, schema: pa.Schema = SCHEMA) -> Iterator[pq.ParquetWriter]:
    """A parquet file that appears under its name when the block ends well, and else not at all.

    The same tables give the same bytes. Raises UserError when the disk is full.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    with atomic_files.writing(path):
        try:
            with _open(aside) as file:
                with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer:
                    yield writer
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)


def _open(path: Path):
    return open(path, "wb")


def with_columns(batch: pa.Table, source: str, indices: Iterable[int]) -> pa.Table:
    """The rows under another set's name and numbered anew."""
    about = batch["extra_info"].combine_chunks()
    fields = [about.field(number) for number in range(about.type.num_fields)]
    fields[about.type.get_field_index("index")] = pa.array(indices, pa.int64())
    about = pa.StructArray.from_arrays(fields, fields=list(about.type))
    batch = batch.set_column(batch.schema.get_field_index("extra_info"), SCHEMA.field("extra_info"), about)
    names = pa.array([source] * len(batch), _TEXT)
    return batch.set_column(batch.schema.get_field_index("data_source"), SCHEMA.field("data_source"), names)
