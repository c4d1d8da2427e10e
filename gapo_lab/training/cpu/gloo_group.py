"""Imported by verl in a worker before it opens its process group (`model.external_lib`).

On a CPU verl would ask torch for the backend "cpu:gloo,cpu:gloo", which torch refuses; it asks for none
where a group is open already.
"""

from __future__ import annotations

import os

import torch.distributed


def open_gloo() -> None:
    """Open the gloo group of this worker, from the variables verl sets; nothing outside a worker."""
    if "RANK" not in os.environ or torch.distributed.is_initialized():
        return
    torch.distributed.init_process_group(
        backend="gloo",
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        init_method=os.environ.get("DIST_INIT_METHOD"),
    )


open_gloo()
