"""From a known data set, or any JSON lines, to parquet files for `data=parquet`: one file for each of its splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapo_lab.data import hub
from gapo_lab.data.user_rows import files
from gapo_lab.data.user_rows.row_formats import RECIPES, Raw, Row, Unusable, row, text
from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

JSONL = "jsonl"
NAMES = (*RECIPES, JSONL)
# Words in a file's name that say which split it is.
SPLITS = {"train": "train", "test": "test", "validation": "dev", "valid": "dev", "val": "dev", "dev": "dev"}


@dataclass(frozen=True)
class Imported:
    """Rows of each split, and how many raw rows were left out, by reason."""

    splits: Mapping[str, list[Row]]
    left_out: Mapping[str, int]


def read(name: str, source: str | None, keys: Mapping[str, str | None], test: int = 0) -> Imported:
    """The rows of a data set: of a folder or a file, or of its Hugging Face id, which is fetched.

    keys: for `jsonl` the fields `prompt` and `truth`, and the `source` that rows are said to come from. test: how many
    of the last rows become the test split, where there is none. UserError where nothing can be read or used.
    """
    make, place = _recipe(name, source, keys)
    left_out: Counter[str] = Counter()
    splits = {split: list(_rows(paths, make, left_out)) for split, paths in by_split(place).items()}
    if not any(splits.values()):
        why = "; ".join(f"{count:,} rows: {reason}" for reason, count in left_out.most_common(3))
        raise UserError(f"import {name}: no usable row in {source or RECIPES[name].hub} ({why or 'it is empty'})")
    if test and "test" not in splits:
        whole = splits.pop("train", None) or splits.pop(next(iter(splits)))
        if test >= len(whole):
            raise UserError(f"--test {test}: there are only {len(whole):,} rows. Take fewer.")
        splits = {"train": whole[:-test], "test": whole[-test:], **splits}
    return Imported({split: rows for split, rows in splits.items() if rows}, left_out)


def _recipe(
    name: str, source: str | None, keys: Mapping[str, str | None]
) -> tuple[Callable[[Raw], Row], Iterable[Path]]:
    if name != JSONL:
        recipe = RECIPES[name]
        place = source or recipe.hub
        again = f"python -m gapo_lab.data import {name} data/raw/{name}"
        found = hub.files(place, f"import {name}", f"data/raw/{name}", again)
        chosen = [path for path in found if recipe.folder in path.parts] if recipe.folder else []
        return recipe.make, chosen or found
    if not source:
        raise UserError(
            "import jsonl: give the file: python -m gapo_lab.data import jsonl FILE --prompt KEY --truth KEY"
        )
    prompt, truth = keys.get("prompt") or "prompt", keys.get("truth") or "answer"

    def make(raw: Raw) -> Row:
        if raw.get(truth) is None:
            raise Unusable(f"no {truth}")
        more = {key: value for key, value in raw.items() if key not in (prompt, truth)}
        return row(keys.get("source") or Path(source).stem, "", text(raw, prompt), raw[truth], **more)

    return make, files.find("import jsonl", source)


def by_split(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by the split that their names say: `train-00000-of-00001.parquet`; those that say none are `train`.

    Where only a folder says it (test/algebra.jsonl), the folder does.
    """
    out: dict[str, list[Path]] = {}
    for path in paths:
        words = [*re.split(r"[^A-Za-z]+", path.stem), *reversed(path.parts[:-1])]
        split = next((SPLITS[word.lower()] for word in words if word.lower() in SPLITS), "train")
        out.setdefault(split, []).append(path)
    return dict(sorted(out.items(), key=lambda item: ("train", "test", "dev").index(item[0])))


def _rows(paths: Iterable[Path], make: Callable[[Raw], Row], left_out: Counter[str]) -> Iterable[Row]:
    for _, _, raw in files.rows(paths):
        try:
            yield make(raw)
        except Unusable as reason:
            left_out[str(reason)] += 1


def write(found: Imported, folder: Path) -> list[Path]:
    """Write `<split>.parquet` for each split; rows that are not alike enough for parquet as `<split>.jsonl`."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    atomic_files.make_folder(folder)
    out = []
    for split, rows in found.splits.items():
        try:
            table = pa.Table.from_pylist([_numbered(one, number, split) for number, one in enumerate(rows)])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            path = folder / f"{split}.jsonl"
            atomic_files.write_text(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))
        else:
            path = folder / f"{split}.parquet"
            aside = folder / f".{split}.parquet"
            with atomic_files.writing(path):
                pq.write_table(table, aside)
                aside.replace(path)
        out.append(path)
    return out


def _numbered(row: Row, number: int, split: str) -> dict[str, Any]:
    return {**row, "extra_info": {"split": split, "index": number, **row["extra_info"]}}
