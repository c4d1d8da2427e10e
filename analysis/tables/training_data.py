"""Table 1: what the training data hold, by language. From a parquet file in verl's format."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from analysis.results.runs import Selection
from analysis.tables.table import Entry, Line, Table
from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder


def table(path: Path, name: str = "table1") -> Table:
    """Lengths (characters) of prompt and truth from shortest to longest, count and share of each language."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=["prompt", "reward_model", "extra_info"]).to_pylist()
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is not there: --data names a train.parquet, or the folder that holds it"
        ) from error
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(f"{path} is no parquet file of tasks ({str(error).splitlines()[0]})") from error
    lengths: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        language = (row["extra_info"] or {}).get("language") or "unknown"
        text = sum(len(turn["content"]) for turn in row["prompt"])
        lengths[language].append((text, len(row["reward_model"]["ground_truth"])))
    order = sorted(lengths, key=lambda language: (-len(lengths[language]), language))
    lines = [_line(language, lengths[language], len(rows)) for language in order]
    total = _line("Total", [pair for pairs in lengths.values() for pair in pairs], len(rows))
    head = tuple((text, 1) for text in ("Input", "Output", "Count", "Percent"))
    notes = (("", "Input, Output: lengths in characters of prompt and true edit, shortest to longest"),)
    return Table(
        name, "Training data", ("Language",), (head,), (tuple(lines), (total,)), notes, (f"from {path.name}",)
    )


def _line(label: str, pairs: list[tuple[int, int]], whole: int) -> Line:
    def span(values: list[int]) -> Entry:
        return Entry(f"{min(values):,} – {max(values):,}" if values else "–")

    share = 100 * len(pairs) / whole if whole else 0.0
    inputs, outputs = [a for a, _ in pairs], [b for _, b in pairs]
    entries = (
        span(inputs),
        span(outputs),
        Entry(f"{len(pairs):,}", len(pairs)),
        Entry(f"{share:.2f}%", share),
    )
    return Line(label, entries, "other")


def find(selection: Selection, runs_root: Path) -> Path | None:
    """The training data that a run of the selection names in its run folder, where both are on this machine."""
    for run in selection.runs if runs_root.is_dir() else ():
        place = RunFolder(runs_root / run.identity).data_folder()
        if place and (place / "train.parquet").exists():
            return place / "train.parquet"
    return None
