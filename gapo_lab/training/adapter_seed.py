"""A LoRA adapter begins at random: the run's seed decides how. verl seeds its workers only for full determinism.

Every process that loads verl runs `use` (verl_plugin.py), before a model is built. Nothing else in a worker is random.
"""

from __future__ import annotations

import os

# In the environment of each of a run's processes, with LoRA only.
VARIABLE = "GAPO_LAB_ADAPTER_SEED"


def use() -> None:
    """Seed torch with the run's seed; nothing where the run has no adapters."""
    if not (seed := os.environ.get(VARIABLE)):
        return
    import torch

    torch.manual_seed(int(seed))
