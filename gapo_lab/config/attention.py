"""Choose the attention of the actor, and what follows from it. Pure but for a look at what is installed."""

from __future__ import annotations

import importlib.util

FLASH, SDPA, AUTO = "flash_attention_2", "sdpa", "auto"


def attention(choice: str) -> str:
    """Return the attention that `backend.attention` means: `auto` is flash attention where it is installed, else
    sdpa."""
    if choice != AUTO:
        return choice
    return installed()


def installed() -> str:
    """Return flash attention where its package can be imported, else sdpa."""
    return FLASH if importlib.util.find_spec("flash_attn") else SDPA


def without_flash_attention(choice: str) -> bool:
    return attention(choice) != FLASH


def sequence_parallel(wanted: int, implementation: str) -> int:
    """Return over how many GPUs one sequence is cut (Ulysses). verl cuts sequences for flash attention only."""
    return wanted if implementation == FLASH else 1


def tokens_per_gpu(wanted: int, sequence_parallel: int, longest: int) -> int:
    """Return the token budget of one pass on one GPU: at least the share of the longest sequence that lies there."""
    return max(wanted, -(-longest // sequence_parallel))
