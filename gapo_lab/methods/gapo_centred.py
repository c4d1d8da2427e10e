"""GAPO without its shift: the advantage of Eq. 4 minus its group's mean. A control method of this project."""

from __future__ import annotations

from torch import Tensor

from gapo_lab.methods.gapo import gapo
from gapo_lab.methods.groups import per_group, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"tau": "(0, 1]"}


def gapo_centred(rewards: Tensor, groups: Tensor, tau: float = 0.5) -> Tensor:
    """A_i = G_i - mean(G), G the advantages of `gapo`: GRPO's direction with GAPO's scale, f A_grpo.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,).
    tau: as in `gapo`. A group of equal rewards, or of one, gives exactly 0. Raises ValueError for tau outside (0, 1] or
    rewards that are not finite.
    """
    check_settings(SETTINGS, tau=tau)
    scaled = gapo(rewards.detach().double(), groups, tau=tau)

    def formula(a: Tensor) -> Tensor:
        return zero_if_equal(a - a.mean(dim=1, keepdim=True), a)

    return per_group(scaled, groups, formula).to(rewards.dtype)
