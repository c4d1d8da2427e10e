"""A group's mean shrunk towards the batch's, after James and Stein (Zeng et al. 2025, arXiv 2511.03710)."""

from __future__ import annotations

import torch
from torch import Tensor

from gapo_lab.methods.groups import per_group, sent_to


def shrinkage(rewards: Tensor, groups: Tensor) -> Tensor:
    """A_i = r_i - (1 - w) own_i - w all_i: leave-one-out means of the group and of the batch.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,). With n groups of G rollouts,
    own_i = (sum of the group - r_i) / (G - 1), all_i = (sum of the batch - r_i) / (n G - 1),
    s2 = sum (r_i - own_i)^2 / (n (G - 1)), t2 = max(0, sum_g (mean_g - mean of all_i in g)^2 / (n - 1) - s2 / G) and
    w = v / (v + t2) with v = s2 / (G - 1); 0 where both are 0. Where groups differ in size, G is each group's own in
    own_i and v, and s2 / G the mean over groups. A batch of one group has w = 0 (RLOO), a group of one w = 1. All
    rewards equal give 0. Raises ValueError for rewards that are not finite.
    """
    exact = rewards.detach().double()
    own = per_group(exact, groups, _others)  # checks both
    if not len(exact):
        return own.to(rewards.dtype)
    _, of_row, counts = groups.cpu().unique(return_inverse=True, return_counts=True)
    group, size = sent_to(exact.device, of_row), sent_to(exact.device, counts.double())

    def total(values: Tensor) -> Tensor:  # (B,) -> (n,)
        return torch.zeros_like(size).index_add_(0, group, values)

    everyone = (exact.sum() - exact) / max(len(exact) - 1, 1)
    within = (exact - own).square().sum() / (size - 1).sum().clamp(min=1)
    apart = (total(exact) - total(everyone)) / size
    between = (apart.square().sum() / max(len(size) - 1, 1) - within * (1 / size).mean()).clamp(min=0)
    noise = within / (size - 1).clamp(min=1)
    weight = torch.where(noise + between > 0, noise / (noise + between), 0.0)
    weight = torch.where(size == 1, 1.0, weight) if len(size) > 1 else torch.zeros_like(weight)
    advantages = exact - torch.lerp(own, everyone, weight[group])
    equal = exact.min() == exact.max()
    return torch.where(equal, 0.0, advantages).to(rewards.dtype)


def _others(rewards: Tensor) -> Tensor:
    """Return the mean of the other rollouts of each group, (n, G) -> (n, G); a group of one keeps its reward."""
    size = rewards.shape[1]
    return rewards if size == 1 else (rewards.sum(dim=1, keepdim=True) - rewards) / (size - 1)
