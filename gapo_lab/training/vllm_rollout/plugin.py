"""What vLLM loads in each of its processes (its `vllm.general_plugins`; metadata.py announces it there)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import torch

from gapo_lab.utils import shared_memory
from gapo_lab.utils.scratch import MARK

# Rows a matrix product is filled up to a multiple of.
ROWS = 32


def register() -> None:
    """Record the shared memory of this process, and make no semaphore; on a CPU keep the weights as they are."""
    from tqdm import auto, std
    from vllm.platforms import current_platform

    if folder := os.environ.get(MARK):
        shared_memory.record_into(Path(folder))
    # a bar's own lock is a semaphore that would outlive this process when it is killed
    for bar in (std.tqdm, auto.tqdm):
        bar.set_lock(threading.RLock())
    if current_platform.is_cpu():
        keep_weights()


def keep_weights() -> None:
    """Let vLLM multiply by the weights themselves, and give a request the same numbers whatever else is in the batch.

    On a CPU vLLM packs the weights into another layout and leaves an empty tensor, into which no new ones can be
    loaded. The function is private to vLLM: tests/integration/test_vllm_contract.py fails when it changes.
    """
    from vllm.model_executor.layers import utils

    def keep(layer: torch.nn.Module, remove_weight: bool) -> None:
        layer.cpu_linear = multiply

    utils.dispatch_cpu_unquantized_gemm = keep


def multiply(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Return `x weight^T + bias`, computed with so many rows that the kernel is always the same.

    For one to three rows the library sums in another order: the last bits of an answer's log-probs would depend on how
    many answers are generated beside it.
    """
    rows = x.shape[-2]
    filled = torch.nn.functional.pad(x, (0, 0, 0, -rows % ROWS))
    return torch.nn.functional.linear(filled, weight, bias)[..., :rows, :]
