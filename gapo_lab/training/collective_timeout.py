"""How long the workers wait for the slowest of them: loading, downloading or saving a large model takes long.

verl gives no limit to torch, which then takes half an hour, and `actor_rollout_ref.nccl_timeout` is read by nobody.
Every process that loads verl runs `use` (verl_plugin.py), before there is a process group.
"""

from __future__ import annotations

import os
from datetime import timedelta

# Seconds, in the environment of each of a run's processes (`backend.collective_timeout`).
VARIABLE = "GAPO_LAB_COLLECTIVE_TIMEOUT"


def use() -> None:
    """Make the run's limit torch's default for process groups; nothing where the run names none."""
    if not (seconds := os.environ.get(VARIABLE)):
        return
    from torch.distributed import distributed_c10d

    limit = timedelta(seconds=float(seconds))
    # for "cpu:gloo,cuda:nccl", as verl has it, and for "nccl" alone
    distributed_c10d.default_pg_timeout = limit
    distributed_c10d.default_pg_nccl_timeout = limit
