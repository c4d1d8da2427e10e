"""Whether a run's method exists and its settings are allowed, without importing torch or verl."""

from __future__ import annotations

from functools import cache

from gapo_lab.config.compose import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.method_registry import NOT_HERE, VERL_ESTIMATORS, VERL_LOSSES, estimators, losses
from gapo_lab.utils.key_names import did_you_mean
from gapo_lab.utils.value_rules import Rule, problem


def check_method(config: ConfigView) -> None:
    """Raise UserError for an estimator or a loss that does not exist, or for a setting it does not allow."""
    estimator = config.algorithm.adv_estimator
    if estimator in NOT_HERE:
        raise UserError(f"algorithm.adv_estimator={estimator}: {NOT_HERE[estimator]}")
    _known("algorithm.adv_estimator", estimator, [*estimators(), *VERL_ESTIMATORS])
    _known(
        "actor_rollout_ref.actor.policy_loss.loss_mode",
        config.actor_rollout_ref.actor.policy_loss.loss_mode,
        [*losses(), *VERL_LOSSES],
    )
    _own_settings(config, estimator)
    _shared_settings(config)
    _noise(config)


def _known(key: str, name: str, names: list[str]) -> None:
    if name not in names:
        near = did_you_mean(str(name), names)
        hint = f" ({near})" if near else ""
        raise UserError(f"{key}={name}: no such method{hint}; there are: {', '.join(sorted(names))}")


@cache
def _verls_algorithm_keys() -> frozenset[str]:
    found = {key.split(".")[1] for key in verl_defaults() if key.startswith("algorithm.")}
    return frozenset(found | {"norm_adv_by_std_in_grpo"})


def _own_settings(config: ConfigView, estimator: str) -> None:
    """The node `algorithm.<estimator>`, and that there is no node of another method."""
    verls = _verls_algorithm_keys()
    ours = estimators().get(estimator)
    rules = ours.rules if ours else {}
    for name, node in config.algorithm.tree().items():
        if name in verls or node is None:
            continue
        if name != estimator or not rules:
            raise UserError(
                f"algorithm.{name}: not read by algo={config.algo.name} (algorithm.adv_estimator={estimator})"
            )
        if not isinstance(node, dict):
            raise UserError(
                f"algorithm.{name}={node}: takes settings, such as algorithm.{name}.{next(iter(rules))}=..."
            )
        for key, value in node.items():
            if key not in rules:
                raise UserError(f"algorithm.{name}.{key}: no such setting; there are {', '.join(rules)}")
            if wrong := problem(value, rules[key]):
                label = "tau" if key == "tau" else f"algorithm.{name}.{key}"
                raise UserError(f"{label}={value}: {wrong}")
        if estimator == "exact_gdpo" and len(node.get("weights", ())) != len(node.get("parts", ())):
            raise UserError(f"algorithm.exact_gdpo.weights={node.get('weights')}: as many as parts={node.get('parts')}")
    if problem(config.tau, "(0, 1]"):
        raise UserError(f"tau={config.tau}: must be a number in (0, 1], the share of a group in the densest interval")


def _noise(config: ConfigView) -> None:
    if wrong := problem(config.get("noise", 0), "[0, 1)"):
        raise UserError(f"noise={config.noise}: {wrong}, the share of training rollouts whose reward is an outlier")
    if config.get("noise", 0) and config.data.name == "lists":
        raise UserError(
            f"noise={config.noise}: replaces rewards of edits; data=lists has none of these, leave noise out"
        )


SHARED: dict[str, Rule] = {
    "actor_rollout_ref.actor.optim.lr": "[0, inf)",
    "actor_rollout_ref.actor.optim.weight_decay": "[0, inf)",
    "actor_rollout_ref.rollout.temperature": "(0, inf)",
    "actor_rollout_ref.rollout.top_p": "(0, 1]",
    "actor_rollout_ref.rollout.val_kwargs.temperature": "[0, inf)",
    "actor_rollout_ref.rollout.val_kwargs.top_p": "(0, 1]",
    "actor_rollout_ref.actor.clip_ratio_low": "[0, inf)",
    "actor_rollout_ref.actor.clip_ratio_high": "[0, inf)",
    "actor_rollout_ref.actor.clip_ratio_c": "(1, inf)",
    "actor_rollout_ref.actor.kl_loss_coef": "[0, inf)",
    "actor_rollout_ref.actor.entropy_coeff": "[0, inf)",
    "actor_rollout_ref.actor.use_kl_loss": (True, False),
    "actor_rollout_ref.actor.loss_agg_mode": (
        *("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"),
    ),
    "actor_rollout_ref.actor.kl_loss_type": (
        *("kl", "k1", "abs", "mse", "k2", "low_var_kl", "k3"),
        *("k1+", "k2+", "k3+", "kl+", "abs+", "mse+", "low_var_kl+"),
    ),
    "algorithm.norm_adv_by_std_in_grpo": (True, False),
    "algorithm.use_kl_in_reward": (True, False),
    "algorithm.gamma": "[0, 1]",
    "algorithm.filter_groups.enable": (True, False),
    "trainer.v1.sampler.sampler_kwargs.max_refill_batches": "(0, inf)",
    "reward.reward_kwargs.overlong_buffer_cfg.enable": (True, False),
    "reward.reward_kwargs.overlong_buffer_cfg.len": "(0, inf)",
    "reward.reward_kwargs.overlong_buffer_cfg.penalty_factor": "[0, inf)",
}


def _shared_settings(config: ConfigView) -> None:
    """The keys of verl that the files in conf/algo set, and those of sampling and the optimizer."""
    for key, rule in SHARED.items():
        value = config.select(key)
        if value is not None and (wrong := problem(value, rule)):
            raise UserError(f"{key}={value}: {wrong}")
    actor = config.actor_rollout_ref.actor
    length = config.data.max_response_length
    if actor.loss_agg_mode == "seq-mean-token-sum-norm" and actor.loss_scale_factor is None:
        raise UserError(
            "actor_rollout_ref.actor.loss_scale_factor=None: with loss_agg_mode=seq-mean-token-sum-norm the loss would "
            f"depend on how a mini-batch is cut; set it to data.max_response_length={length}"
        )
    penalty = config.select("reward.reward_kwargs.overlong_buffer_cfg.len")
    if penalty is not None and penalty > length:
        raise UserError(
            f"reward.reward_kwargs.overlong_buffer_cfg.len={penalty}: longer than data.max_response_length={length}"
        )
    if config.algorithm.adv_estimator == "grpo_passk" and config.actor_rollout_ref.rollout.n < 2:
        raise UserError("actor_rollout_ref.rollout.n=1: algo=grpo_passk compares the two best rollouts of a prompt")
    if config.algorithm.adv_estimator == "group_aware" and config.data.name != "lists":
        raise UserError(
            f"algo={config.algo.name} rewards choices from a list: add data=lists (it is data={config.data.name})"
        )
