"""The checkpoints in a run folder, as verl writes them: names only, no torch. What a run resumes from: resume.py."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError

_NAME = re.compile(r"global_step_(\d+)")
SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
# verl writes the step here once the checkpoint is whole
TRACKER = "latest_checkpointed_iteration.txt"
# two thirds of a checkpoint: Adam's moments, which only more training needs
OPTIMIZER = "optim_world_size_*.pt"
# billions of parameters from which on a checkpoint takes more than 12 GB
LARGE = 1
# in a checkpoint whose optimizer was removed: no run can resume from it
WEIGHTS_ONLY = "weights_only"


class Keep(StrEnum):
    """What a run that has finished keeps of its checkpoints (`keep=`)."""

    ALL = "all"
    LAST = "last"
    WEIGHTS = "weights"
    NONE = "none"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Keep:
        """Read it in a run's config.yaml; of a run from before the word was there: as `default_keep`."""
        model = config.get("model") or {}
        return cls(config.get("keep") or default_keep(model.get("billions", 0)))


def default_keep(billions: float) -> str:
    """Return what is kept where nobody says: of a large model the weights, of a small one the whole checkpoint."""
    return str(Keep.WEIGHTS if billions >= LARGE else Keep.LAST)


def steps(folder: Path) -> dict[int, Path]:
    """Map each checkpointed step in ``folder`` to its own folder."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("global_step_*"))
    return {int(match[1]): path for match, path in found if match}


def whole(folder: Path) -> list[int]:
    """Return the checkpointed steps whose files are complete."""
    try:
        newest = int((folder / TRACKER).read_text().strip() or 0)
    except (FileNotFoundError, ValueError):
        return []
    return [step for step, path in steps(folder).items() if step <= newest and _is_whole(path)]


def _is_whole(path: Path) -> bool:
    return (path / "actor").is_dir() and not (path / WEIGHTS_ONLY).exists()


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


def keep_newest(folder: Path, number: int) -> None:
    """Remove every checkpoint but so many of the newest whole ones; nothing where none is whole yet."""
    kept = sorted(whole(folder))[-number:]
    for step, path in steps(folder).items():
        if kept and step not in kept:
            shutil.rmtree(path)


def unneeded(folder: Path, keep: Keep) -> list[Path]:
    """Return what of a finished run's checkpoints it does not keep: folders and files, none inside another."""
    if keep is Keep.ALL or not folder.is_dir():
        return []
    if keep is Keep.NONE:
        return [folder]
    there = steps(folder)
    last = max(there, default=None)
    older = [path for step, path in sorted(there.items()) if step != last]
    if keep is Keep.LAST or last is None:
        return older
    return older + sorted((there[last] / "actor").glob(OPTIMIZER))


def retain(folder: Path, keep: Keep) -> None:
    """Remove what `unneeded` names. A checkpoint is marked before it loses its optimizer: nobody resumes from it."""
    for path in unneeded(folder, keep):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            (path.parent.parent / WEIGHTS_ONLY).touch()
            path.unlink()
