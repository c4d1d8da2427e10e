"""What the processes of a run are told of the user's own methods, before verl is imported."""

from __future__ import annotations

import json

from omegaconf import DictConfig, OmegaConf

from gapo_lab import method_registry

# The variable that every process of a run has; registered_methods.py registers what it names.
USER_METHODS = "GAPO_LAB_METHODS"


def user_methods(config: DictConfig) -> str:
    """Return the value of USER_METHODS for the run with this configuration; '' where it has none."""
    address = OmegaConf.select(config, "algo.path")
    loss_mode = OmegaConf.select(config, "actor_rollout_ref.actor.policy_loss.loss_mode")
    found = method_registry.user_methods(address, config.algorithm.adv_estimator, loss_mode)
    kinds = {name: str(method.kind) for name, method in found.items()}
    return json.dumps({"path": address, "methods": kinds}) if kinds else ""
