"""Groups of rollouts: the rewards that one prompt received, gathered into dense blocks.

A batch is a flat list of rollouts, each with the number of its group. `per_group` gathers the groups that
have the same size into one (n, G) block, so that an estimator is written as it stands in the paper, over
the last axis, without masks and without a loop over groups (there is one pass for each distinct size).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def per_group(rewards: Tensor, groups: Tensor, formula: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `formula`, (n, G) -> (n, G), to the groups of a batch.

    rewards: (B,) floating, finite. groups: (B,) integer labels, any values in any order; inside a group
    the order of the batch is kept. Returns (B,) in the dtype and on the device of `rewards`; the formula
    itself sees float64. Raises ValueError for other shapes or dtypes and for NaN or infinite rewards,
    naming the group.
    """
    _check(rewards, groups)
    exact = rewards.detach().to(torch.float64)
    advantages = torch.empty_like(exact)
    for rows in rows_by_size(groups):
        advantages[rows] = formula(exact[rows])
    return advantages.to(rewards.dtype)


def rows_by_size(groups: Tensor) -> list[Tensor]:
    """The rows of each group, as one (n, G) block for each distinct group size G, smallest G first."""
    _, order = torch.sort(groups, stable=True)
    _, sizes = torch.unique_consecutive(groups[order], return_counts=True)
    starts = sizes.cumsum(0) - sizes
    blocks = []
    for size in sizes.unique().tolist():
        within = torch.arange(size, device=groups.device)
        blocks.append(order[starts[sizes == size].unsqueeze(1) + within])
    return blocks


def zero_if_equal(advantages: Tensor, rewards: Tensor) -> Tensor:
    """Exactly 0 for a group whose rewards are all the same (also for a group of one); (n, G) -> (n, G).

    Rounding in a mean would else leave a difference of some 1e-17 that a small denominator blows up.
    """
    low, high = rewards.aminmax(dim=1, keepdim=True)
    return torch.where(low == high, 0.0, advantages)


def sample_std(rewards: Tensor) -> Tensor:
    """Unbiased standard deviation of each group, (n, G) -> (n, 1); 1 for groups of one, as in verl."""
    if rewards.shape[1] == 1:
        return torch.ones_like(rewards)
    return rewards.std(dim=1, keepdim=True)


def row_median(rewards: Tensor) -> Tensor:
    """Median of each group, (n, G) -> (n, 1): the mean of the two middle rewards where G is even (torch's is not)."""
    ordered, size = rewards.sort(dim=1).values, rewards.shape[1]
    return (ordered[:, [(size - 1) // 2]] + ordered[:, [size // 2]]) / 2


def smallest_count(size: int, share: float) -> int:
    """The smallest count, at least 1, that is `share` or more of `size`: max(1, ceil(size * share)).

    1e-9 is taken off first, so that a product such as 20 * 0.55 = 11.000000000000002 gives 11.
    """
    return max(1, math.ceil(size * share - 1e-9))


def _check(rewards: Tensor, groups: Tensor) -> None:
    if rewards.ndim != 1 or rewards.shape != groups.shape:
        shapes = f"{tuple(rewards.shape)} and {tuple(groups.shape)}"
        raise ValueError(f"rewards and groups have shapes {shapes}: both must be (B,), of the same length")
    if not rewards.is_floating_point():
        raise ValueError(f"rewards are {rewards.dtype}: must be floating point")
    if groups.is_floating_point() or groups.is_complex() or groups.dtype == torch.bool:
        raise ValueError(f"groups are {groups.dtype}: must be integers")
    finite = rewards.isfinite()
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(f"group {int(groups[row])} holds the reward {float(rewards[row])}: must be finite")
