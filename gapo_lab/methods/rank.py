"""Ranks in place of rewards, as evolution strategies shape fitness (Wierstra et al. 2014)."""

from __future__ import annotations

from torch import Tensor

from gapo_lab.methods.groups import per_group, sample_std, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"eps": "[0, inf)"}


def rank(rewards: Tensor, groups: Tensor, eps: float = 1e-6) -> Tensor:
    """GRPO's advantage of the rewards' ranks in their group: A_i = (k_i - (G + 1) / 2) / (std(k) + eps), std unbiased.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,). k_i is 1 for the lowest, and
    equal rewards share the mean of their ranks. Only the order of the rewards counts. A group of equal rewards, or of
    one, gives exactly 0. Raises ValueError for eps below 0 or rewards that are not finite.
    """
    check_settings(SETTINGS, eps=eps)

    def formula(r: Tensor) -> Tensor:
        mine, others = r.unsqueeze(2), r.unsqueeze(1)
        ranks = ((others < mine).sum(dim=2) + (others <= mine).sum(dim=2) + 1).to(r.dtype) / 2
        return zero_if_equal((ranks - (r.shape[1] + 1) / 2) / (sample_std(ranks) + eps), r)

    return per_group(rewards, groups, formula)
