"""Whether a run's method exists and its settings are allowed, without importing torch or verl."""

from __future__ import annotations

import ast
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from gapo_lab.config.compose import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.paths import METHODS
from gapo_lab.utils.value_rules import Rule, problem, rules_of

# verl's own, as in verl.trainer.ppo.core_algos; those that need more than a reward a rollout are left out
VERL_ESTIMATORS = (
    *("grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo", "gpg"),
    *("reinforce_plus_plus", "reinforce_plus_plus_baseline"),
)
NOT_HERE = {
    "gae": "needs a critic",
    "remax": "needs a greedy rollout of every prompt, which verl's v1 trainer does not make",
    "gdpo": "does not get the parts of the reward from verl's v1 trainer; take algorithm.adv_estimator=exact_gdpo",
    "optimal_token_baseline": "needs the sum of squared probabilities of every token",
    "tir_optimal_token_baseline": "needs the sum of squared probabilities of every token",
}
VERL_LOSSES = (
    *("vanilla", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "geo_mean", "dro", "cispo", "bypass_mode"),
    *("dppo_tv", "dppo_kl"),
)


@cache
def our_files() -> dict[str, tuple[str, Path]]:
    """The name in verl of each method of ours -> ("estimator" or "loss", its file)."""
    found = {}
    for path in sorted(METHODS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == path.stem:
                kind = "estimator" if node.args.args[0].arg == "rewards" else "loss"
                taken = kind == "estimator" and path.stem in (*VERL_ESTIMATORS, *NOT_HERE)
                found[f"exact_{path.stem}" if taken else path.stem] = (kind, path)
    return found


def check_method(config: ConfigView) -> None:
    """Raise UserError for an estimator or a loss that does not exist, or for a setting it does not allow."""
    estimator = config.algorithm.adv_estimator
    ours = [name for name, (kind, _) in our_files().items() if kind == "estimator"]
    if estimator in NOT_HERE:
        raise UserError(f"algorithm.adv_estimator={estimator}: {NOT_HERE[estimator]}")
    _known("algorithm.adv_estimator", estimator, [*ours, *VERL_ESTIMATORS])
    losses = [name for name, (kind, _) in our_files().items() if kind == "loss"]
    _known(
        "actor_rollout_ref.actor.policy_loss.loss_mode",
        config.actor_rollout_ref.actor.policy_loss.loss_mode,
        [*losses, *VERL_LOSSES],
    )
    _own_settings(config, estimator)
    _shared_settings(config)
    _noise(config)


def _known(key: str, name: str, names: list[str]) -> None:
    if name not in names:
        close = get_close_matches(str(name), names, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(f"{key}={name}: no such method{hint}; there are: {', '.join(sorted(names))}")


@cache
def _verls_algorithm_keys() -> frozenset[str]:
    found = {key.split(".")[1] for key in verl_defaults() if key.startswith("algorithm.")}
    return frozenset(found | {"norm_adv_by_std_in_grpo"})


def _own_settings(config: ConfigView, estimator: str) -> None:
    """The node `algorithm.<estimator>`, and that there is no node of another method."""
    verls = _verls_algorithm_keys()
    rules = rules_of(our_files()[estimator][1]) if estimator in our_files() else {}
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
