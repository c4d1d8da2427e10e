"""Older names of verl's keys, and the names that verl 0.9 reads. Pure."""

from __future__ import annotations

_ACTOR = "actor_rollout_ref.actor"
_OVERLONG = "reward.reward_kwargs.overlong_buffer_cfg."
# Keys that begin so -> how they begin now.
NODES = {
    "reward_model.reward_kwargs.": "reward.reward_kwargs.",
    "reward_model.overlong_buffer.": _OVERLONG,
    "custom_reward_function.overlong_buffer.": _OVERLONG,
    "custom_reward_function.": "reward.custom_reward_function.",
    "sandbox_fusion.": "reward.sandbox_fusion.",
}
# One key -> the same, as verl's `migrate_legacy_reward_impl` has it.
KEYS = {
    "reward_model.num_workers": "reward.num_workers",
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.reward_loop_source": "reward.reward_manager.source",
    "reward_model.reward_loop_module_path": "reward.reward_manager.module.path",
    "reward_model.reward_loop_class_name": "reward.reward_manager.module.name",
    f"{_ACTOR}.use_token_level_loss": f"{_ACTOR}.loss_agg_mode",
}


def new_name(key: str) -> str | None:
    """Return the name that verl 0.9 reads in place of an older one; None for a key that has not moved."""
    if key in KEYS:
        return KEYS[key]
    return next((new + key.removeprefix(old) for old, new in NODES.items() if key.startswith(old)), None)
