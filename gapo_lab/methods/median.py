"""The group's median in place of its mean: the plainest robust baseline."""

from __future__ import annotations

from torch import Tensor

from gapo_lab.methods.groups import per_group, row_median, sample_std, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"eps": "[0, inf)"}


def median(rewards: Tensor, groups: Tensor, eps: float = 1e-6) -> Tensor:
    """A_i = (r_i - median) / (std + eps), std unbiased; of an even group the mean of the two middle rewards.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,). A group of equal rewards, or of
    one, gives exactly 0. Raises ValueError for eps below 0 or rewards that are not finite.
    """
    check_settings(SETTINGS, eps=eps)

    def formula(r: Tensor) -> Tensor:
        return zero_if_equal((r - row_median(r)) / (sample_std(r) + eps), r)

    return per_group(rewards, groups, formula)
