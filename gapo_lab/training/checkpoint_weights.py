"""Reads the weights out of a checkpoint that several workers have written."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gapo_lab.errors import UserError
from gapo_lab.runs.checkpoints import SHARD

if TYPE_CHECKING:
    from torch import Tensor


def weights(actor: Path) -> dict[str, Tensor]:
    """Return the model's weights by name, whole, from what each of the workers wrote into a checkpoint's `actor`
    folder."""
    import torch

    shards = [match for path in actor.iterdir() if (match := SHARD.fullmatch(path.name))]
    found = {int(match[2]): actor / match[0] for match in shards}
    if {int(match[1]) for match in shards} != {len(found)}:
        raise UserError(f"{actor} lacks the part of a worker, so the checkpoint is not whole. Train the run again")
    # it warns of process groups, which reading has no use for
    logging.getLogger("torch.distributed.device_mesh").setLevel(logging.ERROR)
    parts = [torch.load(found[rank], map_location="cpu", weights_only=False) for rank in sorted(found)]
    return {name: _whole([part[name] for part in parts]) for name in parts[0]}


def adapter_scale(actor: Path) -> float:
    """Return what the product of a LoRA adapter's factors is multiplied by, alpha / rank; 1 without adapters."""
    path = actor / "lora_train_meta.json"
    if not path.is_file():
        return 1.0
    said = json.loads(path.read_text(encoding="utf-8"))
    return float(said["lora_alpha"] / said["r"])


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
