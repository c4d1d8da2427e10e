"""The pure functions of `gapo_lab.methods`, registered with verl under their names.

verl calls an estimator with token-level rewards and a uid a row; the methods want one reward and one
group number a row. Settings are read from `algorithm.<name>`. Where verl has a method of the same name ours is
`exact_<name>`. A method that names one of the parameters `order`, `extras` or `draw` is given it (`batch_facts`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping
from functools import partial, wraps

import numpy as np
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import agg_loss, register_adv_est, register_policy_loss
from verl.utils.torch_functional import masked_mean

from gapo_lab import method_registry
from gapo_lab.methods import ESTIMATORS, LOSSES
from gapo_lab.training import batch_context
from gapo_lab.training.user_methods import USER_METHODS
from gapo_lab.utils.python_source import load


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
        if rewards.device.type == "cpu":  # where verl computes advantages; on a GPU the method itself asserts it
            _check_finite(rewards, index)
        advantages = method(rewards, group_numbers(index), **settings, **facts_for(method))
        # converting the mask and multiplying in place: one pass less over (B, L) than a mixed product
        spread = response_mask.to(advantages.dtype, copy=True).mul_(advantages.unsqueeze(-1))
    return spread, spread


def _check_finite(rewards: torch.Tensor, index: np.ndarray) -> None:
    finite = torch.isfinite(rewards)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        raise ValueError(f"reward {rewards[row].item()} of uid {index[row]} is not finite")


def group_numbers(index: np.ndarray) -> torch.Tensor:
    """Uids (B,) -> group numbers (B,) on the host, in the order of their first appearance."""
    uids = index.tolist()
    numbers = {uid: number for number, uid in enumerate(dict.fromkeys(uids))}
    return torch.from_numpy(np.fromiter(map(numbers.__getitem__, uids), np.int64, len(uids)))


def facts_for(method: Callable) -> dict:
    """Return the keyword arguments among `order`, `extras` and `draw` that a method has, for the current batch; on the
    host."""
    asked, facts = inspect.signature(method).parameters, batch_context.current()
    given: dict = {}
    if "order" in asked and facts.order is not None:
        given["order"] = torch.tensor(facts.order)
    if "extras" in asked:
        given["extras"] = {name: torch.tensor(column, dtype=torch.float64) for name, column in facts.extras.items()}
    if "draw" in asked:
        digest = hashlib.sha256(f"{facts.seed} {facts.step}".encode()).digest()
        given["draw"] = int.from_bytes(digest[:7], "big")
    return given


def settings_of(config: Mapping | None, name: str) -> dict:
    """Return the node `algorithm.<name>` as keyword arguments; empty where it is not set."""
    node = config.get(name) if config is not None else None
    return dict(OmegaConf.to_container(node) if OmegaConf.is_config(node) else node or {})


def register_estimator(name: str, method: Callable[..., torch.Tensor]) -> None:
    """Register an estimator with the settings of `algorithm.<name>`."""

    def advantage(token_level_rewards, response_mask, index, config=None, **_):
        return outcome_advantage(method, token_level_rewards, response_mask, index, settings_of(config, name))

    register_adv_est(name)(advantage)


def batch_mean_loss(
    loss, old_log_prob, log_prob, advantages, response_mask, loss_agg_mode="", config=None, rollout_is_weights=None
):
    """Return a loss a rollout, as verl calls a policy loss: averaged over the rollouts of the whole mini-batch.

    verl hands over micro-batches and adds their gradients up, so the mean must not be taken over the rows that
    happen to be here. `loss_agg_mode` is not used: the loss is a rollout's already. Returns the loss and metrics.
    """
    if rollout_is_weights is not None:
        raise ValueError("this loss has no importance weights: leave algorithm.rollout_correction out")
    low, high = config.clip_ratio_low, config.clip_ratio_high
    losses = loss(log_prob, old_log_prob, advantages, response_mask, low, high)
    # one column: verl's own mean over sequences of the mini-batch, all workers together
    present = response_mask.any(dim=1, keepdim=True).to(losses.dtype)
    mean = agg_loss(losses.unsqueeze(1), present, "seq-mean-token-sum", **config.global_batch_info)
    ratio = (log_prob - old_log_prob).detach()
    outside = (ratio > high) & (advantages > 0), (ratio < -low) & (advantages < 0)
    metrics = {
        "actor/pg_clipfrac": masked_mean((outside[0] | outside[1]).float(), response_mask).item(),
        "actor/ppo_kl": masked_mean(-ratio, response_mask).item(),
        "actor/pg_clipfrac_lower": masked_mean(outside[1].float(), response_mask).item(),
    }
    return mean, metrics


def register_user_methods(told: str) -> None:
    """Register the user's methods that the value of USER_METHODS names."""
    said = json.loads(told)
    for name, kind in said["methods"].items():
        method = checked(load(said["path"], name), name)
        if kind == method_registry.Kind.ESTIMATOR:
            register_estimator(name, method)
        else:
            register_policy_loss(name)(partial(batch_mean_loss, method))


def checked(method: Callable[..., torch.Tensor], name: str) -> Callable[..., torch.Tensor]:
    """Return the user's method; ValueError where it does not give one number a rollout, as its first argument has
    rows."""

    @wraps(method)
    def call(first: torch.Tensor, *others, **settings):
        found = method(first, *others, **settings)
        if not isinstance(found, torch.Tensor) or found.shape != first.shape[:1]:
            given = f"shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__
            raise ValueError(f"{name}() returned {given}: it must return one number a rollout, ({len(first)},)")
        if found.device.type == "cpu" and not bool(torch.isfinite(found).all()):
            raise ValueError(f"{name}() returned numbers that are not finite")
        return found

    return call


for _name, _ours in method_registry.estimators().items():
    register_estimator(_name, ESTIMATORS[_ours.name])
for _name, _ours in method_registry.losses().items():
    register_policy_loss(_name)(partial(batch_mean_loss, LOSSES[_ours.name]))
if _told := os.environ.get(USER_METHODS):
    register_user_methods(_told)
