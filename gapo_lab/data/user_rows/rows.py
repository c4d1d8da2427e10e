"""Rows of the user's own as the trainer reads them: the same prompt and truth, under the names of our sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from gapo_lab.data.tasks.task import SAMPLED_AGENT
from gapo_lab.data.user_rows import files, sets
from gapo_lab.errors import UserError

# What stands in `extra_info` beside the user's own: how the row was called, for the reward and its errors.
LAB = "gapo_lab"
# Rows whose lengths stand for all.
MEASURED = 300
SIZES = {sets.TRAIN: "train_size", sets.ID: "id_size", sets.DEV: "dev_size"}


def rows_of(data: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each set of `data=parquet`, at the most as many as its size says. UserError names the row."""
    out = {}
    for name, paths in sets.named(data).items():
        size = data[SIZES.get(name, "ood_size")]
        found = islice(files.rows(paths), size)
        out[name] = [as_task(row, path, number, name, index, data) for index, (path, number, row) in enumerate(found)]
    return out


def sizes(data: Mapping[str, Any]) -> dict[str, int]:
    """How many rows of each set of `data=parquet` are taken. UserError where a file cannot be read."""
    out = {}
    for name, paths in sets.named(data).items():
        there, most = files.count(paths), data[SIZES.get(name, "ood_size")]
        out[name] = there if most is None else min(there, most)
    return out


def characters(data: Mapping[str, Any]) -> tuple[float, float]:
    """The mean characters of a prompt and of its truth, in the first rows to train on. UserError as `rows_of`."""
    paths = sets.named(data)[sets.TRAIN]
    changed = tuple(path.stat().st_mtime_ns for path in paths)
    return _characters(paths, changed, data["prompt_key"], data["truth_key"])


@cache
def _characters(paths: tuple[Path, ...], _changed: tuple[int, ...], prompt: str, truth: str) -> tuple[float, float]:
    """The cells of a grid share their files: their rows are read once. A row that is wrong is told by `rows_of`."""
    found = [(_length(_at(row, prompt)), _length(_at(row, truth))) for *_, row in islice(files.rows(paths), MEASURED)]
    return (fmean(one for one, _ in found), fmean(one for _, one in found)) if found else (0.0, 0.0)


def _length(value: Any) -> int:
    """The characters of a text, of the messages of a prompt, or of the JSON of what is neither."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "content" in one for one in value):
        return sum(len(str(one["content"])) for one in value)
    return len(value if isinstance(value, str) else json.dumps(value, default=str))


def as_task(row: dict[str, Any], path: Path, number: int, name: str, index: int, data: Mapping) -> dict[str, Any]:
    """One row of the set `name`, its `index`-th; `number`: its place in its file."""
    where = f"row {number} of {path.name}"
    truth = _at(row, data["truth_key"])
    if truth is None:
        raise UserError(f"data.{name}: {where} has no {data['truth_key']}, so its answers cannot be scored")
    source = _at(row, data["source_key"])
    lab = {
        "row": where,
        "data_source": name if source is None else str(source),
        "extra_info": _text(row.get("extra_info") or {}, where),
        "truth": None if isinstance(truth, str) else _text(truth, where),
    }
    return {
        "data_source": name,
        "agent_name": SAMPLED_AGENT,
        "prompt": _messages(_at(row, data["prompt_key"]), where, data),
        "ability": str(row.get("ability") or ""),
        "reward_model": {"style": "rule", "ground_truth": truth if isinstance(truth, str) else lab["truth"]},
        "extra_info": {"index": index, "id": f"{name} {index}", LAB: lab},
    }


def _text(value: Any, where: str) -> str:
    """A value as JSON: rows of several sets, with other fields in each, can then stand in one file."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where}: holds what a reward cannot be told ({error}). Take texts, numbers and lists."
        ) from None


def told(data_source: str, ground_truth: Any, extra_info: Mapping[str, Any] | None) -> tuple[str, Any, dict[str, Any]]:
    """The source, the truth and the extra information of a row as its file has them; of other data as they are."""
    about = dict(extra_info or {})
    if (lab := about.pop(LAB, None)) is None:
        return data_source, ground_truth, about
    truth = ground_truth if lab["truth"] is None else json.loads(lab["truth"])
    # what verl adds on the way, such as the number of turns, stays
    added = {key: value for key, value in about.items() if key not in ("index", "id")}
    return lab["data_source"], truth, {**added, **json.loads(lab["extra_info"])}


def place(extra_info: Mapping[str, Any] | None) -> str:
    """Where a row stands, for a message: `row 3 of train.parquet`; of generated tasks their id."""
    about = extra_info or {}
    return str((about.get(LAB) or {}).get("row") or about.get("id") or "a row")


def _at(row: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; None where it is not."""
    if key in row:
        return row[key]
    found: Any = row
    for part in key.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _messages(prompt: Any, where: str, data: Mapping[str, Any]) -> list[dict[str, str]]:
    if isinstance(prompt, str) and prompt:
        return [{"role": "user", "content": prompt}]
    wanted = isinstance(prompt, list) and prompt and all(isinstance(one, dict) for one in prompt)
    if not wanted or not all(isinstance(one.get(part), str) for one in prompt for part in ("role", "content")):
        raise UserError(
            f"{where}: {data['prompt_key']} must be a text, or a list of messages with a role and a content"
        )
    if data.get("system_role", True) or prompt[0]["role"] != "system" or len(prompt) < 2:
        return [{"role": one["role"], "content": one["content"]} for one in prompt]
    first, second, *rest = prompt
    joined = {"role": second["role"], "content": f"{first['content']}\n\n{second['content']}"}
    return [joined, *({"role": one["role"], "content": one["content"]} for one in rest)]
