"""The OOD test sets that are not generated: where their rows lie, and the rows.

Importing this is cheap. A set is looked for at `data.ood_path`, else in `data/ood/<name>/`, else among what
Hugging Face's tools have fetched before; nothing is fetched that was not asked for by its Hugging Face id.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.utils.text import first_line

FOLDER = Path("data/ood")


@dataclass(frozen=True)
class Source:
    """One set: the words its file's name may begin with, best first, and how a person gets it."""

    stems: tuple[str, ...]
    hub: str | None
    fetch: str


SOURCES = {
    "zeta": Source(
        ("dpo", "zeta"),
        "zed-industries/zeta",
        "hf download zed-industries/zeta --repo-type dataset --local-dir {folder}",
    ),
    "editeval": Source(
        ("edit_eval", "editeval"),
        None,
        "put edit_eval/edit_eval.jsonl of https://github.com/qishenghu/CodeInstruct into {folder}/",
    ),
}
GENERATED = ("micro", "micro_blocks", "lists")
NAMES = (*GENERATED, *SOURCES)


def find(name: str, path: str | None = None) -> Path:
    """The file that holds a set's rows. Raises UserError, one line that says what to fetch and where to put it."""
    source = SOURCES[name]
    if path is not None and Path(path).expanduser().exists():
        return _file(name, Path(path).expanduser())
    if path is None and (FOLDER / name).exists():
        return _file(name, FOLDER / name)
    hub = path if path and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", path) else None if path else source.hub
    if hub and (folder := _snapshot(hub, fetch=path is not None)):
        return _file(name, folder)
    where = f"{path} is not there" if path else "the set is not on this machine"
    how = source.fetch.format(folder=FOLDER / name)
    raise UserError(f"data.ood={name}: {where}; fetch it: {how} (or set data.ood_path to its folder or file)")


def _snapshot(hub: str, fetch: bool) -> Path | None:
    """The folder of a Hugging Face data set, from the cache, or when `fetch` from the network. None without it."""
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface") / "hub")
    if not fetch and not (cache.expanduser() / f"datasets--{hub.replace('/', '--')}").exists():
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                hub, repo_type="dataset", local_files_only=not fetch, allow_patterns=["*.jsonl", "*.parquet"]
            )
        )
    except Exception as error:  # its errors for "no network" and "not cached" have no common base
        if fetch:
            raise UserError(
                f"data.ood_path={hub}: cannot be fetched ({first_line(error)}); fetch it where there is a network and "
                "give its folder instead"
            ) from error
        return None


def _file(name: str, path: Path) -> Path:
    if path.is_file():
        return path
    stems = SOURCES[name].stems
    found = [file for file in sorted(path.rglob("*")) if file.suffix in (".jsonl", ".parquet")]
    for stem in stems:
        if chosen := [file for file in found if file.name.startswith(stem)]:
            return chosen[0]
    raise UserError(f"data.ood={name}: no {stems[0]}*.jsonl or {stems[0]}*.parquet in {path}")


def digest(name: str, path: str | None) -> str:
    """Twelve hex digits over a set's file."""
    return hashlib.sha256(find(name, path).read_bytes()).hexdigest()[:12]


def read(name: str, path: str | None = None) -> list[dict[str, Any]]:
    """A set's rows as they lie in the file. Raises UserError when it cannot be read."""
    file = find(name, path)
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            found = pq.read_table(file).to_pylist()
        else:
            found = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (ValueError, OSError) as error:  # JSON's, Unicode's and Arrow's errors
        raise UserError(f"{file}: cannot be read as {file.suffix[1:]} ({first_line(error)})") from None
    if not found or not all(isinstance(row, dict) for row in found):
        raise UserError(f"{file}: no rows in it")
    return found


def tasks(data: Mapping[str, Any]) -> list:
    """The tasks of the set that `data.ood` names, at the most `data.ood_size` (null: all)."""
    name, size = data["ood"], data["ood_size"]
    if name == "micro":
        from gapo_lab.data.micro.generator import generate

        return generate("ood", size, seed=data["generator_seed"])
    if name == "micro_blocks":
        from gapo_lab.data.micro import blocks

        return blocks.generate("ood", size, seed=data["generator_seed"])
    if name == "lists":
        from gapo_lab.data.lists import generator

        return generator.generate("ood", size, data["generator_seed"], data["samples"])
    from gapo_lab.data.ood import editeval, zeta

    make = {"zeta": zeta.task, "editeval": editeval.task}[name]
    return [make(row, number) for number, row in enumerate(read(name, data["ood_path"])[:size])]
