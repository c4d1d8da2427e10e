"""Everything in long form, one value a row, for one's own notebook: tidy.csv (cells) and tidy.parquet (curves too)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from analysis.results.curves import Curve
from analysis.results.measurements import Measured
from analysis.results.runs import Run

WORDS = ("study", "key", "model", "algo", "tau", "seed", "data", "scale", "made_up")


def _words(run: Run) -> tuple[str | float | int | bool | None, ...]:
    tau = run.params.get("tau")
    return (
        run.study,
        run.identity,
        run.params["model"],
        run.params["algo"],
        float(tau) if tau else None,
        run.seed,
        run.params.get("data"),
        run.params.get("scale"),
        run.is_rehearsal,
    )


def to_csv(measured: Sequence[Measured]) -> str:
    """One line a run and metric: its number as it goes into a table, unrounded, and the step that was chosen for
    it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*WORDS, "metric", "pick", "step", "value"])
    for one in measured:
        for trials in one.by_cell.values():
            for run in trials.cell.runs:
                if run.seed in trials.values:
                    step = trials.steps.get(run.seed, "")
                    writer.writerow([*_words(run), one.name, one.pick, step, repr(trials.values[run.seed])])
    return out.getvalue()


def to_parquet(measured: Sequence[Measured]) -> bytes:
    """One row a run, metric and step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [_part(one, run, curve) for one in measured for run, curve in _curves(one)]
    schema = pa.schema(
        [(word, pa.string()) for word in WORDS[:4]]
        + [("tau", pa.float64()), ("seed", pa.int64()), ("data", pa.string()), ("scale", pa.string())]
        + [("made_up", pa.bool_())]
        + [("metric", pa.string()), ("step", pa.int64()), ("value", pa.float64())]
    )
    table = pa.concat_tables([schema.empty_table(), *(pa.table(part, schema=schema) for part in parts)])
    for word in ("study", "key", "model", "algo", "metric"):
        table = table.set_column(
            table.schema.get_field_index(word), word, table[word].combine_chunks().dictionary_encode()
        )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _curves(one: Measured) -> Iterator[tuple[Run, Curve]]:
    for trials in one.by_cell.values():
        for run in trials.cell.runs:
            if run.seed in trials.curves:
                yield run, trials.curves[run.seed]


def _part(one: Measured, run: Run, curve: Curve) -> dict[str, Any]:
    n = len(curve)
    columns: dict[str, Any] = {word: [value] * n for word, value in zip(WORDS, _words(run), strict=True)}
    return {**columns, "metric": [one.name] * n, "step": curve.steps, "value": curve.values}
