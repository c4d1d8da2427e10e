"""Whether a run's data have a dev set, by which steps and settings are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapo_lab.data.mining.format import mined_rows


def lack(data: Mapping[str, Any]) -> str:
    """Return why these data have no dev set, and what gives them one; "" if they have one, or only mining can tell.

    data: the `data` node of a run's configuration.
    """
    if data["name"] == "parquet":
        return "" if data.get("dev") is not None else "data.dev is none. Give one: data.dev=FILE"
    if data.get("dev_size") == 0:
        return "data.dev_size=0. Give a number above 0"
    if data["name"] != "git" or not data["path"]:
        return ""
    held, tests = mined_rows(Path(data["path"]).expanduser()).get("id"), data["id_size"]
    if held is None or held > tests:
        return ""
    return (
        f"{data['path']} holds out {held:,} examples, and all of them are the ID test set (data.id_size={tests}). "
        f"Give a smaller one: data.id_size={max(1, 2 * held // 3)}"
    )
