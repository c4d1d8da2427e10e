"""A trimmed mean in place of the group's mean (Tukey and McLaughlin 1963)."""

from __future__ import annotations

import math

from torch import Tensor

from gapo_lab.methods.groups import per_group, sample_std, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"trim": "[0, 0.5)", "eps": "[0, inf)"}


def trimmed_mean(rewards: Tensor, groups: Tensor, trim: float = 0.25, eps: float = 1e-6) -> Tensor:
    """A_i = (r_i - t) / (std + eps), t the mean without the lowest and the highest floor(G trim) rewards, std unbiased.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,). trim=0 is GRPO; 0.25 the
    interquartile mean. A group of equal rewards, or of one, gives exactly 0. Raises ValueError for a setting outside
    SETTINGS or rewards that are not finite.
    """
    check_settings(SETTINGS, trim=trim, eps=eps)

    def formula(r: Tensor) -> Tensor:
        size = r.shape[1]
        cut = math.floor(size * trim + 1e-9)  # 10 * 0.3 is 3, whatever floats make of it
        kept = r.sort(dim=1).values[:, cut : size - cut]
        return zero_if_equal((r - kept.mean(dim=1, keepdim=True)) / (sample_std(r) + eps), r)

    return per_group(rewards, groups, formula)
