"""The checkpoints in a run folder, as verl writes them. Looks at names only: no torch."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from gapo_lab.errors import UserError

_NAME = re.compile(r"global_step_(\d+)")
SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
# verl writes the step here once the checkpoint is whole
TRACKER = "latest_checkpointed_iteration.txt"


def steps(folder: Path) -> dict[int, Path]:
    """Map each checkpointed step in ``folder`` to its own folder."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("global_step_*"))
    return {int(match[1]): path for match, path in found if match}


def whole(folder: Path) -> list[int]:
    """The checkpointed steps whose files are complete."""
    try:
        newest = int((folder / TRACKER).read_text().strip() or 0)
    except (FileNotFoundError, ValueError):
        return []
    return [step for step, path in steps(folder).items() if step <= newest and (path / "actor").is_dir()]


def check_world_size(folder: Path, step: int, workers: int) -> None:
    """Raise UserError when the checkpoint was cut for another number of workers: verl cannot load it."""
    shards = (SHARD.fullmatch(path.name) for path in (steps(folder)[step] / "actor").iterdir())
    sizes = {int(match[1]) for match in shards if match}
    if sizes and sizes != {workers}:
        (size,) = sizes
        raise UserError(
            f"{folder}: the checkpoint was written by {size} workers and cannot be loaded by {workers} "
            f"(trainer.n_gpus_per_node x trainer.nnodes). Set them to {size}, or remove that folder to start anew."
        )


def prune(folder: Path, keep: int) -> None:
    """Remove every checkpoint but that of step ``keep``: verl forgets, over a restart, which it has to remove."""
    for step, path in steps(folder).items():
        if step != keep:
            shutil.rmtree(path)
