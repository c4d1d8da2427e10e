"""Whether a run's method exists and its settings are allowed, without importing torch or verl."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.method_registry import NOT_HERE, VERL_ESTIMATORS, VERL_LOSSES, estimators, losses
from gapo_lab.paths import CONF
from gapo_lab.planning import user_methods
from gapo_lab.utils.key_names import did_you_mean
from gapo_lab.utils.value_rules import Rule, problem

# The method of a run where nobody chooses one (conf/config.yaml).
USUAL = "gapo_grpo"


def _estimator(config: ConfigView) -> Iterator[str]:
    """Whether the estimator exists, and that its settings, and no other method's, are there."""
    estimator = config.algorithm.adv_estimator
    if estimator in NOT_HERE:
        yield f"algorithm.adv_estimator={estimator}: {NOT_HERE[estimator]}"
    elif wrong := _unknown("algorithm.adv_estimator", estimator, _known(config, [*estimators(), *VERL_ESTIMATORS])):
        yield wrong
    elif estimator != "gapo" or config.select("algorithm.gapo") is not None:  # else told with the keys
        yield from _own_settings(config, estimator)


def _loss(config: ConfigView) -> Iterator[str]:
    key = "actor_rollout_ref.actor.policy_loss.loss_mode"
    if wrong := _unknown(key, config.select(key), _known(config, [*losses(), *VERL_LOSSES])):
        yield wrong


def _known(config: ConfigView, names: list[str]) -> list[str]:
    """Return these methods and the user's own; a file without the method asked for is told by its own rule."""
    return [*names, *user_methods.names(config)]


def _unknown(key: str, name: str, names: list[str]) -> str | None:
    if name in names:
        return None
    near = did_you_mean(str(name), names)
    hint = f" ({near})" if near else ""
    return f"{key}={name}: no such method{hint}; there are: {', '.join(sorted(names))}"


@cache
def _verls_algorithm_keys() -> frozenset[str]:
    found = {key.split(".")[1] for key in verl_defaults() if key.startswith("algorithm.")}
    return frozenset(found | {"norm_adv_by_std_in_grpo"})


def _own_settings(config: ConfigView, estimator: str) -> Iterator[str]:
    """Check the node `algorithm.<estimator>`, and that there is no node of another method."""
    verls = _verls_algorithm_keys()
    ours = estimators().get(estimator) or user_methods.methods(config).get(estimator)
    rules = user_methods.rules_of(ours) if ours else {}
    for name, node in config.algorithm.tree().items():
        if name in verls or node is None:
            continue
        if name != estimator or not rules:
            yield _of_another(name, estimator, config)
            continue
        if not isinstance(node, dict):
            yield f"algorithm.{name}={node}: takes settings, such as algorithm.{name}.{next(iter(rules))}=..."
            continue
        for key, value in node.items():
            if key not in rules:
                yield f"algorithm.{name}.{key}: no such setting; there are {', '.join(rules)}"
            elif (rule := rules[key]) is not None and (wrong := problem(value, rule)):
                label = "tau" if key == "tau" else f"algorithm.{name}.{key}"
                yield f"{label}={value}: {wrong}"
        if estimator == "exact_gdpo" and len(node.get("weights", ())) != len(node.get("parts", ())):
            yield f"algorithm.exact_gdpo.weights={node.get('weights')}: as many as parts={node.get('parts')}"
    if problem(config.tau, "(0, 1]"):
        yield f"tau={config.tau}: must be a number in (0, 1], the share of a group in the densest interval"


def _of_another(name: str, estimator: str, config: ConfigView) -> str:
    """Return what to say of the settings of a method that is not the run's."""
    algo, alone = config.algo.name, config.select(f"algorithm.{estimator}") is None and estimator != config.algo.name
    if name == f"exact_{estimator}" or (alone and (CONF / "algo" / f"{estimator}.yaml").is_file()):
        said = f"algorithm.adv_estimator={estimator}"
        if algo == USUAL:  # nobody gave one
            return f"{said}: algo chooses the method. Give algo={estimator} instead"
        return f"{said}: algo={algo} brings its estimator. Leave algorithm.adv_estimator out"
    return f"algorithm.{name}: not read by algo={algo} (algorithm.adv_estimator={estimator})"


def _noise(config: ConfigView) -> Iterator[str]:
    if wrong := problem(config.get("noise", 0), "[0, 1)"):
        yield f"noise={config.noise}: {wrong}, the share of training rollouts whose reward is an outlier"
    if config.get("noise", 0) and config.data.name == "lists":
        yield (f"noise={config.noise}: replaces rewards of edits, and data=lists has none. Leave noise out")


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


def _shared_settings(config: ConfigView) -> Iterator[str]:
    """Check the keys of verl that the files in conf/algo set, and those of sampling and the optimizer."""
    for key, rule in SHARED.items():
        value = config.select(key)
        if value is not None and (wrong := problem(value, rule)):
            yield f"{key}={value}: {wrong}"
    actor = config.actor_rollout_ref.actor
    length = config.data.max_response_length
    if actor.loss_agg_mode == "seq-mean-token-sum-norm" and actor.loss_scale_factor is None:
        yield (
            "actor_rollout_ref.actor.loss_scale_factor=None: with loss_agg_mode=seq-mean-token-sum-norm the loss would "
            f"depend on how a mini-batch is cut. Set it to data.max_response_length={length}"
        )
    penalty = config.select("reward.reward_kwargs.overlong_buffer_cfg.len")
    if penalty is not None and penalty > length:
        yield (
            f"reward.reward_kwargs.overlong_buffer_cfg.len={penalty}: longer than data.max_response_length={length}. "
            "Make it shorter"
        )
    if config.algorithm.adv_estimator == "grpo_passk" and config.actor_rollout_ref.rollout.n < 2:
        yield "actor_rollout_ref.rollout.n=1: algo=grpo_passk compares a prompt's two best rollouts. Give 2 or more"
    if config.algorithm.adv_estimator == "group_aware" and config.data.name != "lists":
        yield (f"algo={config.algo.name} rewards choices from a list. Add data=lists (it is data={config.data.name})")


METHOD_RULES = (user_methods.problems, _estimator, _loss, _shared_settings, _noise)


def check_method(config: ConfigView) -> None:
    """Raise UserError for an estimator or a loss that does not exist, or for settings it does not allow."""
    if found := [line for rule in METHOD_RULES for line in rule(config)]:
        raise UserError("\n".join(found))
