"""ReDit, reward dithering (Wei et al. 2025, arXiv 2506.18631): noise on the reward, then GRPO."""

from __future__ import annotations

import torch
from torch import Tensor

from gapo_lab.methods.groups import sent_to
from gapo_lab.methods.grpo import grpo
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"amplitude": "[0, inf)", "noise": ("uniform", "gauss")}


def redit(rewards: Tensor, groups: Tensor, amplitude: float = 0.05, noise: str = "uniform", *, draw: int = 0) -> Tensor:
    """GRPO's advantage of r_i + noise_i, the noise independent for each rollout.

    rewards (B,) floating, groups (B,) integer labels -> advantages (B,). `uniform` is drawn from
    [-amplitude, amplitude], `gauss` has the standard deviation amplitude / 3. The same `draw` (in training one for
    each seed and step) gives the same noise, on every device. Raises ValueError for a setting outside SETTINGS or
    rewards that are not finite.
    """
    check_settings(SETTINGS, amplitude=amplitude, noise=noise)
    generator = torch.Generator().manual_seed(draw)
    if noise == "uniform":
        unit = 2 * torch.rand(rewards.shape, generator=generator, dtype=torch.float64) - 1
    else:
        unit = torch.randn(rewards.shape, generator=generator, dtype=torch.float64) / 3
    return grpo(rewards.detach().double() + amplitude * sent_to(rewards.device, unit), groups).to(rewards.dtype)
