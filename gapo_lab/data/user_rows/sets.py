"""The sets of `data=parquet`: which files each is made of, whether they have the columns, what they hash to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gapo_lab.data.user_rows import files
from gapo_lab.errors import UserError
from gapo_lab.utils.key_names import nearest

TRAIN, ID, DEV, OOD = "train", "id", "dev", "ood"
# A further test set is called in metrics (`val/<name>/acc`) and tables what its key in `data.ood` says.
_NAME = re.compile(r"[A-Za-z0-9][\w-]*")
TAKEN = (TRAIN, ID, DEV)
# The columns of verl's rows, under the names of the settings that name others (conf/data/parquet.yaml).
USUAL = {"prompt_key": "prompt", "truth_key": "reward_model.ground_truth", "source_key": "data_source"}
# Settings that only say where the rows lie: the run key has their content.
PLACES = ("train", "id", "dev", "ood")


def named(data: Mapping[str, Any]) -> dict[str, tuple[Path, ...]]:
    """The files of each set, training first, then ID, dev and the others in the order in which they are named.

    data: the `data` node. Raises UserError where a file is not there or a name cannot be one.
    """
    return {name: files.find(key, value) for name, (key, value) in _given(data, others(data)).items()}


def _given(data: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """The setting that names the files of each set, and its value."""
    found = {name: (f"data.{name}", data[name]) for name in (TRAIN, ID)}
    if data["dev"] is not None:
        found[DEV] = ("data.dev", data["dev"])
    for name, value in further.items():
        key = f"data.ood.{name}" if name != OOD or _is_named(data["ood"]) else "data.ood"
        found[name] = (key, value)
    return found


def others(data: Mapping[str, Any]) -> dict[str, Any]:
    """What `data.ood` names, by name: one set without a name is called `ood`."""
    value = data["ood"]
    if value is None:
        return {}
    if not _is_named(value):
        return {OOD: value}
    for name in value:
        if not _NAME.fullmatch(str(name)) or name in TAKEN or str(name).endswith("_greedy"):
            raise UserError(
                f"data.ood: {name!r} cannot be the name of a test set. Take letters, digits, _ and -, other than "
                f"{', '.join(TAKEN)} and an ending in _greedy."
            )
    return {str(name): value[name] for name in value}


def _is_named(value: Any) -> bool:
    return not isinstance(value, (str, list, tuple)) and hasattr(value, "__getitem__")


def problems(data: Mapping[str, Any]) -> Iterator[str]:
    """A line for each set whose files are not there or cannot be read, and for each column that one of them lacks."""
    further: dict[str, Any] = {}
    try:
        further = others(data)
    except UserError as error:
        yield str(error)
    told: set[str] = set()
    for name, (place, value) in _given(data, further).items():
        try:
            for path in files.find(place, value):
                lacking = [key for key in _lacking(data, files.columns(path)) if key not in told]
                yield from (_column(data, key, path, name) for key in lacking)
                told.update(lacking)
        except UserError as error:
            yield str(error)


def _lacking(data: Mapping[str, Any], there: Sequence[str]) -> list[str]:
    """The settings that name a column which is not among these."""
    # a field of a column that is no struct in the first row of JSON lines may still be there in others
    return [key for key in ("prompt_key", "truth_key") if data[key] not in there]


def _column(data: Mapping[str, Any], key: str, path: Path, name: str) -> str:
    wanted, there = data[key], files.columns(path)
    close = nearest(str(wanted), there)
    hint = f" (did you mean data.{key}={close[0]}?)" if close else ""
    shown = ", ".join(column for column in there if "." not in column)
    return f"data.{key}={wanted}: no such column in {path}{hint}; data.{name} has {shown}"


def content(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """The hashes of each set's files, in their order; where they lie and what they are called is not in it."""
    return {name: [files.digest(path) for path in paths] for name, paths in named(data).items()}
