"""The checkpoints of a run: which one to go on from, and which to remove."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

_NAME = re.compile(r"global_step_(\d+)")
_SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")


def steps(folder: RunFolder) -> dict[int, Path]:
    """The checkpointed steps and their folders."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.checkpoints.glob("global_step_*"))
    return {int(match[1]): path for match, path in found if match}


def resume_step(folder: RunFolder) -> int:
    """The newest checkpointed step whose metrics are recorded too; 0 to start from the beginning.

    verl writes a checkpoint before it logs the step: a run killed in between goes back one checkpoint, so that
    no step is missing from its curves.
    """
    recorded = folder.merged_metrics()
    tracker = folder.checkpoints / "latest_checkpointed_iteration.txt"
    newest = int(tracker.read_text()) if tracker.exists() and tracker.read_text().strip() else 0
    whole = (step for step, path in steps(folder).items() if step <= newest and (path / "actor").is_dir())
    return max((step for step in whole if "train/reward" in recorded.get(step, {})), default=0)


def check_world_size(folder: RunFolder, step: int, workers: int) -> None:
    """Raise UserError when the checkpoint was cut for another number of workers: verl cannot load it."""
    shards = (_SHARD.fullmatch(path.name) for path in (steps(folder)[step] / "actor").iterdir())
    sizes = {int(match[1]) for match in shards if match}
    if sizes and sizes != {workers}:
        (size,) = sizes
        raise UserError(
            f"run {folder.key} was checkpointed by {size} workers and would go on with {workers} "
            f"(trainer.n_gpus_per_node x trainer.nnodes); give {size}, or remove {folder.checkpoints} to start anew"
        )


def weights(actor: Path) -> dict[str, Tensor]:
    """The model's weights by name, whole, from what each of the workers wrote into a checkpoint's `actor` folder."""
    import torch

    shards = [match for path in actor.iterdir() if (match := _SHARD.fullmatch(path.name))]
    found = {int(match[2]): actor / match[0] for match in shards}
    if {int(match[1]) for match in shards} != {len(found)}:
        raise UserError(f"{actor} lacks the part of a worker: the checkpoint is not whole")
    # it warns of process groups, which reading has no use for
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)
    parts = [torch.load(found[rank], map_location="cpu", weights_only=False) for rank in sorted(found)]
    return {name: _whole([part[name] for part in parts]) for name in parts[0]}


def _whole(parts: list[Tensor]) -> Tensor:
    """One tensor from each worker's part of it (FSDP2: cut along one dimension, or the same everywhere)."""
    import torch
    from torch.distributed.tensor import DTensor, Shard

    first = parts[0]
    if not isinstance(first, DTensor):
        return first
    cut = [placement.dim for placement in first.placements if isinstance(placement, Shard)]
    local = [part.to_local() for part in parts]
    return torch.cat(local, dim=cut[0]) if cut else local[0]


def prune(folder: RunFolder, keep: int) -> None:
    """Remove every checkpoint but that of step `keep`: verl forgets, over a restart, which it has to remove."""
    for step, path in steps(folder).items():
        if step != keep:
            shutil.rmtree(path)
