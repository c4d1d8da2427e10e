"""GDPO, group reward-decoupled normalisation (Liu et al. 2026, arXiv 2601.05242)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gapo_lab.methods.groups import sent_to
from gapo_lab.methods.grpo import grpo
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"parts": "names", "weights": "numbers", "eps": "[0, inf)"}


def gdpo(
    rewards: Tensor,
    groups: Tensor,
    parts: Sequence[str] = ("em", "similarity"),
    weights: Sequence[float] = (1.0, 1.0),
    eps: float = 1e-6,
    *,
    extras: Mapping[str, Tensor],
) -> Tensor:
    """GRPO's advantage of each part of the reward by itself, their weighted sum, normalised over the batch.

    rewards (B,) floating gives dtype and device only; groups (B,) integer labels; `extras[part]` (B,) is what the
    reward function returned under that name -> advantages (B,). A = (S - mean(S)) / (std(S) + eps) over the
    batch, S = sum_k weights[k] * grpo(extras[parts[k]]); std unbiased. When no part differs in any group all are 0.
    Raises ValueError for a part that the reward does not return, or as many weights as parts.
    """
    check_settings(SETTINGS, parts=list(parts), weights=list(weights), eps=eps)
    if len(parts) != len(weights):
        raise ValueError(f"weights={list(weights)}: as many as parts={list(parts)}")
    if missing := [part for part in parts if part not in extras]:
        raise ValueError(f"parts: the reward has no {missing[0]!r}; it has {', '.join(sorted(extras))}")
    total = torch.zeros_like(rewards, dtype=torch.float64, requires_grad=False)
    for part, weight in zip(parts, weights, strict=True):
        total += weight * grpo(sent_to(total.device, extras[part]).double(), groups)
    if len(total) < 2:
        return torch.zeros_like(rewards, requires_grad=False)
    normalised = (total - total.mean()) / (total.std() + eps)
    return torch.where(total.any(), normalised, 0.0).to(rewards.dtype)
