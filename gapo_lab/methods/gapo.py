"""GAPO, group adaptive policy optimisation: the paper's Eq. 4 and Algorithm 1, with Table 5's ablations."""

from __future__ import annotations

import torch
from torch import Tensor

from gapo_lab.methods.groups import per_group, sample_std, smallest_count, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"tau": "(0, 1]", "center": ("median", "mean"), "scale": ("div", "std"), "ddof": (0, 1)}
EPS = 1e-6  # verl's and the released code's; Eq. 4 has none


def gapo(
    rewards: Tensor,
    groups: Tensor,
    tau: float = 0.5,
    center: str = "median",
    scale: str = "div",
    ddof: int = 0,
) -> Tensor:
    """A_i = (r_i - Q) / sqrt(mean_j (r_j - Q)^2) (Eq. 4), Q the median of the densest window (Algorithm 1).

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,).
    tau: the window holds k = `window_size(G, tau)` of the G sorted rewards.
    center: Q is the `median` or the `mean` of the window.
    scale: `div` is Eq. 4's denominator, `std` the unbiased standard deviation about the mean, + 1e-6.
    ddof: 0 is Eq. 4; 1 is the released code, 1/(G-1) and + 1e-6. For `div` only.
    A group of equal rewards, or of one, gives exactly 0. Raises ValueError for tau outside (0, 1], another
    option, or rewards that are not finite.
    """
    check_settings(SETTINGS, tau=tau, center=center, scale=scale, ddof=ddof)

    def formula(r: Tensor) -> Tensor:
        window = densest_window(r, window_size(r.shape[1], tau))
        deviation = r - (_median(window) if center == "median" else window.mean(dim=1, keepdim=True))
        scaled = deviation / (sample_std(r) + EPS) if scale == "std" else _over_root_mean_square(deviation, ddof)
        return zero_if_equal(scaled, r)

    return per_group(rewards, groups, formula)


def window_size(size: int, tau: float) -> int:
    """k, how many of a group's `size` rewards the window holds: max(1, ceil(size * tau)).

    A product that float rounding puts just above an integer counts as that integer: 20 at tau 0.55 is 11.
    """
    check_settings(SETTINGS, tau=tau)
    return smallest_count(size, tau)


def densest_window(rewards: Tensor, k: int) -> Tensor:
    """Algorithm 1: the narrowest k neighbouring sorted rewards, (n, G) -> (n, k), ascending.

    Of equally narrow windows the first, the one with the lowest rewards.
    """
    ordered = rewards.sort(dim=1).values
    last_start = ordered.shape[1] - k
    widths = ordered[:, k - 1 :] - ordered[:, : last_start + 1]
    start = widths.argmin(dim=1, keepdim=True)
    return ordered.gather(1, start + torch.arange(k, device=rewards.device))


def _median(ordered: Tensor) -> Tensor:
    """Median of sorted rows, (n, k) -> (n, 1): the mean of the two middle values where k is even."""
    below, above = (ordered.shape[1] - 1) // 2, ordered.shape[1] // 2
    return (ordered[:, below, None] + ordered[:, above, None]) / 2


def _over_root_mean_square(deviation: Tensor, ddof: int) -> Tensor:
    """Eq. 4 from r - Q, (n, G) -> (n, G); with ddof=1 the released code's.

    The largest deviation is taken out first, so that the squares of tiny ones do not vanish.
    """
    largest = deviation.abs().amax(dim=1, keepdim=True)
    unit = deviation / largest
    squares = unit.square().sum(dim=1, keepdim=True)
    size = deviation.shape[1]
    if ddof == 0:
        return unit / (squares / size).sqrt()
    return unit / ((squares / max(size - 1, 1)).sqrt() + EPS / largest)
