"""How many rows each set of a run's data has, where they are on this machine: files of one's own, and mined edits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapo_lab.data.mining.format import mined_rows
from gapo_lab.data.user_rows import sets

# Where a run mines repositories into, and what the folders' names begin with (`prepare.mined_by_runs`).
MADE_BY_RUNS, MINED = Path("data"), "mined-"


def known(data: Mapping[str, Any]) -> dict[str, int]:
    """How many rows each set has, by name; {} for generated data and for repositories that are not mined yet.

    data: the `data` node of a run's configuration. Prompts that will be too long are still among the rows. UserError
    where a file cannot be read.
    """
    if data["name"] == "parquet":
        from gapo_lab.data.user_rows import rows

        return rows.sizes(data)
    if data["name"] != "git":
        return {}
    folder = Path(data["path"]).expanduser() if data.get("path") else _mined_by_runs(data)
    there = mined_rows(folder) if folder else {}
    if "train" not in there:
        return {}
    held = there.get("id", 0)
    tested = min(data["id_size"], held)
    found = {sets.TRAIN: there["train"], sets.ID: tested, sets.DEV: min(data["dev_size"], held - tested)}
    return found | ({sets.OOD: data["ood_size"]} if data["ood_size"] else {})


def _mined_by_runs(data: Mapping[str, Any]) -> Path | None:
    """Return the folder that runs have mined these repositories into, or would; None where they have mined nothing."""
    if not data.get("repos") or not next(MADE_BY_RUNS.glob(f"{MINED}*"), None):
        return None
    from gapo_lab.data.prepare import mined_by_runs

    return mined_by_runs(data, MADE_BY_RUNS)
