"""GMPO, geometric-mean policy optimisation (Zhao et al. 2025, arXiv 2507.20673): a loss, not an advantage."""

from __future__ import annotations

import torch
from torch import Tensor


def gmpo(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
) -> Tensor:
    """L_i = -A_i exp(mean_t l_it): the geometric mean of the token ratios, each clipped on one side.

    log_prob, old_log_prob, advantages, mask: (B, L), the advantage the same on every token of a rollout
    -> losses (B,), 0 for a rollout without tokens. l = log_prob - old_log_prob is kept from above clip_high where
    A > 0 and from below -clip_low where A < 0, in log space.
    """
    mask = mask.to(log_prob.dtype)
    tokens = mask.sum(dim=1).clamp(min=1)
    advantage = (advantages * mask).sum(dim=1) / tokens
    ratio = log_prob - old_log_prob
    up = advantage.unsqueeze(1) >= 0
    clipped = torch.where(up, ratio.clamp(max=clip_high), ratio.clamp(min=-clip_low))
    return -advantage * torch.exp((clipped * mask).sum(dim=1) / tokens)
