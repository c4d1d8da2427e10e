"""Groups of rollouts: the rewards that one prompt received, gathered into dense blocks.

A batch is a flat list of rollouts, each with the number of its group. `per_group` gathers the groups that
have the same size into one (n, G) block, so that an estimator is written as it stands in the paper, over
the last axis, without masks and without a loop over groups (there is one pass for each distinct size).

Rewards may be on a GPU. The host does not wait for it when the group numbers are on the host, where uids come from:
which rows make a group is then known there.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def per_group(rewards: Tensor, groups: Tensor, formula: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `formula`, (n, G) -> (n, G), to the groups of a batch.

    rewards: (B,) floating, finite. groups: (B,) integer labels, any values in any order; inside a group
    the order of the batch is kept. Labels on the host spare a GPU's rewards every synchronisation; labels on the GPU
    cost one. Returns (B,) in the dtype and on the device of `rewards`; the formula itself sees float64. Raises
    ValueError for other shapes or dtypes and for NaN or infinite rewards, naming the group; for rewards on a GPU an
    assertion there ends the process instead, since a message would have to wait for it.
    """
    _check(rewards, groups)
    exact = rewards.detach().to(torch.float64)
    advantages = torch.empty_like(exact)
    for host_rows in rows_by_size(groups.cpu()):
        rows = sent_to(exact.device, host_rows)
        advantages[rows] = formula(exact[rows])
    return advantages.to(rewards.dtype)


def rows_by_size(groups: Tensor) -> list[Tensor]:
    """Return the rows of each group, as one (n, G) block for each distinct group size G, smallest G first."""
    labels, order = torch.sort(groups, stable=True)
    _, sizes = torch.unique_consecutive(labels, return_counts=True)
    distinct = sizes.unique().tolist()
    if len(distinct) == 1:
        return [order.view(-1, distinct[0])]
    starts = sizes.cumsum(0) - sizes
    return [order[starts[sizes == size].unsqueeze(1) + torch.arange(size)] for size in distinct]


def sent_to(device: torch.device, host: Tensor) -> Tensor:
    """`host` on `device`, without waiting for it: CUDA copies from pinned memory while the host goes on."""
    if device.type == "cuda" and host.device.type == "cpu":
        host = host.pin_memory()
    return host.to(device, non_blocking=True)


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
    return (ordered[:, (size - 1) // 2, None] + ordered[:, size // 2, None]) / 2


def smallest_count(size: int, share: float) -> int:
    """Return the smallest count, at least 1, that is `share` or more of `size`: max(1, ceil(size * share)).

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
    if rewards.device.type != "cpu":
        torch._assert_async(finite.all(), "a reward is not finite")
    elif not finite.all():
        row = int((~finite).nonzero()[0])
        raise ValueError(f"group {int(groups[row])} holds the reward {float(rewards[row])}: must be finite")
