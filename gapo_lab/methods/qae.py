"""QAE, quantile advantage estimation (Wu et al. 2025b, arXiv 2509.22611)."""

from __future__ import annotations

import math

from torch import Tensor

from gapo_lab.methods.groups import per_group, sample_std, smallest_count, zero_if_equal
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"quantile": "(0, 1]", "interpolation": ("linear", "inverted_cdf"), "eps": "[0, inf)"}


def qae(
    rewards: Tensor,
    groups: Tensor,
    quantile: float = 0.4,
    interpolation: str = "linear",
    eps: float = 1e-6,
) -> Tensor:
    """A_i = (r_i - b) / (std + eps), b the group's `quantile`, std unbiased.

    rewards (B,) floating, groups (B,) integer labels in any order -> advantages (B,).
    interpolation: `linear` between order statistics (their code, torch.quantile), or `inverted_cdf`,
    b = inf{x: F(x) >= quantile} (their paper). A group of equal rewards, or of one, gives exactly 0.
    Raises ValueError for a quantile outside (0, 1], another interpolation, or rewards that are not finite.
    """
    check_settings(SETTINGS, quantile=quantile, interpolation=interpolation, eps=eps)
    baseline = _linear if interpolation == "linear" else _inverted_cdf

    def formula(r: Tensor) -> Tensor:
        centred = r - baseline(r.sort(dim=1).values, quantile)
        return zero_if_equal(centred / (sample_std(r) + eps), r)

    return per_group(rewards, groups, formula)


def _linear(ordered: Tensor, quantile: float) -> Tensor:
    position = quantile * (ordered.shape[1] - 1)
    below, above = math.floor(position), math.ceil(position)
    return ordered[:, below, None].lerp(ordered[:, above, None], position - below)


def _inverted_cdf(ordered: Tensor, quantile: float) -> Tensor:
    return ordered[:, smallest_count(ordered.shape[1], quantile) - 1, None]
