"""GRPO, group relative policy optimisation (Shao et al. 2024)."""

from __future__ import annotations

from torch import Tensor

from gapo_lab.methods.groups import per_group, sample_std, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"norm_by_std": (True, False), "eps": "[0, inf)"}


def grpo(rewards: Tensor, groups: Tensor, norm_by_std: bool = True, eps: float = 1e-6) -> Tensor:
    """A_i = (r_i - mean) / (std + eps) (GAPO paper, Eq. 3), std unbiased, as in verl.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,).
    `norm_by_std=False` leaves the division out (Dr.GRPO). A group of one has mean 0 and std 1, as in verl;
    a larger group of equal rewards gives exactly 0. Raises ValueError for a setting outside SETTINGS or rewards that
    are not finite.
    """
    check_settings(SETTINGS, norm_by_std=norm_by_std, eps=eps)

    def formula(r: Tensor) -> Tensor:
        alone = r.shape[1] == 1
        centred = r if alone else zero_if_equal(r - r.mean(dim=1, keepdim=True), r)
        return centred / (sample_std(r) + eps) if norm_by_std else centred

    return per_group(rewards, groups, formula)
