"""The nodes of one run: which of them this process is, and what the others do."""

from __future__ import annotations

import os
from typing import Any


def rank() -> int:
    """0 for the node that trains; above 0 for those that lend it their machine."""
    return int(os.environ.get("SLURM_PROCID", "0")) if count() > 1 else 0


def count() -> int:
    return int(os.environ.get("SLURM_STEP_NUM_NODES") or os.environ.get("SLURM_NNODES") or 1)


def help_rank_0(submission: Any, task: int) -> None:
    raise NotImplementedError
