"""Group-aware GAPO (Anschel et al. 2025, arXiv 2511.12596): a reward over the whole group, then GRPO."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gapo_lab.methods.groups import per_group, sent_to
from gapo_lab.methods.grpo import grpo
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {"invalid": "(-inf, 0]"}


def group_aware(rewards: Tensor, groups: Tensor, invalid: float = -1.0, *, extras: Mapping[str, Tensor]) -> Tensor:
    """GRPO's advantage of the frequency-aware reward.

    rewards (B,) floating gives dtype and device only; groups (B,) integer labels; extras["item"] (B,) the
    answer's place in its list, below 0 for an invalid answer; extras["choices"] (B,) the length L of the list
    -> advantages (B,). Raises ValueError when the reward function does not return them, or for `invalid` above 0.
    """
    if missing := {"item", "choices"} - set(extras):
        raise ValueError(f"group_aware needs a reward that returns {missing.pop()!r}: use data=lists")
    item, choices = (sent_to(rewards.device, extras[name]) for name in ("item", "choices"))
    shaped = frequency_reward(item, choices, groups, invalid)
    return grpo(shaped, groups).to(rewards.dtype)


def frequency_reward(item: Tensor, choices: Tensor, groups: Tensor, invalid: float = -1.0) -> Tensor:
    """R_i = 1 - (f_i - 1/L) for a valid answer, f_i its share of the group's valid answers; else `invalid`.

    item (B,), choices (B,) as in `group_aware`, groups (B,) integer labels -> (B,) float64.
    """
    check_settings(SETTINGS, invalid=invalid)

    def share(items: Tensor) -> Tensor:
        valid = items >= 0
        same = (items.unsqueeze(2) == items.unsqueeze(1)).sum(dim=2, dtype=items.dtype)
        return same / valid.sum(dim=1, keepdim=True).clamp(min=1)

    item = item.double()
    return torch.where(item >= 0, 1 - (per_group(item, groups, share) - 1 / choices.double()), invalid)
