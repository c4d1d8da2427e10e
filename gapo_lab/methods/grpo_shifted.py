"""GRPO with GAPO's shift: GRPO's advantage plus the group's mean of Eq. 4's. A control method of this project."""

from __future__ import annotations

from torch import Tensor

from gapo_lab.methods.gapo import gapo
from gapo_lab.methods.gapo_centred import gapo_centred
from gapo_lab.methods.grpo import grpo
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"tau": "(0, 1]", "eps": "[0, inf)"}


def grpo_shifted(rewards: Tensor, groups: Tensor, tau: float = 0.5, eps: float = 1e-6) -> Tensor:
    """A_i = (r_i - mean) / (std + eps) + b, b = (mean - Q) / s_Q the group's mean of `gapo`'s advantages.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,).
    tau: as in `gapo`; eps: as in `grpo`. A group of equal rewards gives exactly 0, a group of one what `grpo` gives it.
    Raises ValueError for a setting outside SETTINGS or rewards that are not finite.
    """
    check_settings(SETTINGS, tau=tau, eps=eps)
    exact = rewards.detach().double()
    shift = gapo(exact, groups, tau=tau) - gapo_centred(exact, groups, tau=tau)
    return (grpo(exact, groups, eps=eps) + shift).to(rewards.dtype)
