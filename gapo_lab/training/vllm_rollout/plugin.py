"""What vLLM loads in each of its processes (its `vllm.general_plugins`; metadata.py announces it there)."""

from __future__ import annotations

import os
from pathlib import Path

from gapo_lab.utils import shared_memory
from gapo_lab.utils.scratch import MARK


def register() -> None:
    """Record the shared memory of this process; on a CPU keep the weights as they are."""
    from vllm.platforms import current_platform

    if folder := os.environ.get(MARK):
        shared_memory.record_into(Path(folder))
    if current_platform.is_cpu():
        keep_weights()


def keep_weights() -> None:
    """Let vLLM multiply by the weights themselves.

    On a CPU it packs them into another layout and leaves an empty tensor, into which no new weights can be loaded. The
    function is private to vLLM: tests/test_vllm_contract.py fails when it changes.
    """
    import torch
    from vllm.model_executor.layers import utils

    def multiply_plainly(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = multiply_plainly
