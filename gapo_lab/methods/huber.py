"""Huber's location estimate in place of the group's mean (Huber 1964)."""

from __future__ import annotations

import torch
from torch import Tensor

from gapo_lab.methods.groups import per_group, row_median, sample_std, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"k": "(0, inf)", "eps": "[0, inf)"}
NORMAL = 1.4826  # times the median absolute deviation estimates a normal standard deviation
HALVINGS = 60  # of the range of a group: to the last bit of a float64


def huber(rewards: Tensor, groups: Tensor, k: float = 1.345, eps: float = 1e-6) -> Tensor:
    """A_i = (r_i - h) / (std + eps), h Huber's location: the root of sum_j clip(r_j - h, -k s, k s), std unbiased.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,). s is 1.4826 times the median
    absolute deviation from the median; where that is 0, as more than half of the group tie, h is the median, its limit
    for small s. k=1.345 has 95% of the mean's efficiency on normal rewards; k -> inf is GRPO. A group of equal rewards,
    or of one, gives exactly 0. Raises ValueError for a setting outside SETTINGS or rewards that are not finite.
    """
    check_settings(SETTINGS, k=k, eps=eps)

    def formula(r: Tensor) -> Tensor:
        return zero_if_equal((r - location(r, k)) / (sample_std(r) + eps), r)

    return per_group(rewards, groups, formula)


def location(rewards: Tensor, k: float) -> Tensor:
    """Huber's location of each group, (n, G) -> (n, 1), by halving the group's range."""
    middle = row_median(rewards)
    reach = k * NORMAL * row_median((rewards - middle).abs())
    low, high = rewards.aminmax(dim=1, keepdim=True)
    for _ in range(HALVINGS):
        at = (low + high) / 2
        pull = (rewards - at).clamp(min=-reach, max=reach).sum(dim=1, keepdim=True)
        low, high = torch.where(pull > 0, at, low), torch.where(pull > 0, high, at)
    return torch.where(reach == 0, middle, (low + high) / 2)
