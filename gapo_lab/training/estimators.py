"""The pure functions of `gapo_lab.methods`, registered with verl under their names.

verl calls an estimator with token-level rewards and a uid a row; the methods want one reward and one
group number a row. Settings are read from `algorithm.<name>`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from gapo_lab.methods.gapo import gapo


def outcome_advantage(
    method: Callable[..., torch.Tensor],
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray,
    settings: Mapping,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One advantage a rollout, spread over its tokens.

    token_level_rewards, response_mask: (B, L); index: (B,) uids. Returns advantages and returns, both
    (B, L), zero where the mask is. Raises ValueError naming the uid of a reward that is not finite.
    """
    with torch.no_grad():
        rewards = token_level_rewards.sum(dim=-1)
        numbers: dict = {}
        groups = torch.tensor(
            [numbers.setdefault(uid, len(numbers)) for uid in index.tolist()], device=rewards.device
        )
        finite = torch.isfinite(rewards)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise ValueError(f"reward {rewards[row].item()} of uid {index[row]} is not finite")
        advantages = method(rewards, groups, **settings)
        spread = advantages.unsqueeze(-1) * response_mask
    return spread, spread


def settings_of(config: Mapping | None, name: str) -> dict:
    """The node `algorithm.<name>` as keyword arguments; empty where it is not set."""
    node = config.get(name) if config is not None else None
    return dict(node) if node else {}


@register_adv_est("gapo")
def gapo_advantage(token_level_rewards, response_mask, index, config=None, **_):
    """GAPO (paper, Eq. 4 and Algorithm 1) with the settings of `algorithm.gapo`."""
    return outcome_advantage(gapo, token_level_rewards, response_mask, index, settings_of(config, "gapo"))
