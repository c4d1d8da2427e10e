"""Refuse a run that cannot fit into a GPU's memory, before it is queued, with the setting that makes it fit."""

from __future__ import annotations

from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.planning.memory import ModelShape, rollout_memory, training_memory

GIB = 2**30
# Of a GPU's memory the driver keeps a little.
USABLE = 0.99


def check_memory(config: ConfigView) -> None:
    """Raise UserError where the update or the rollout needs more than `cluster.gpu_memory` (GiB) holds.

    Nothing is checked where a cluster does not say how much its GPUs hold, or a model does not say its sizes.
    """
    room, shape = config.select("cluster.gpu_memory"), shape_of(config)
    if room is None or shape is None or not config.backend.needs_gpu:
        return
    _check_update(config, shape, room * GIB * USABLE)
    _check_rollout(config, shape, room * GIB)


def shape_of(config: ConfigView) -> ModelShape | None:
    """Return the sizes of the run's model; None where its configuration does not say them."""
    names = ("layers", "hidden", "feed_forward", "vocabulary", "kv_heads", "head_size")
    sizes = [config.select(f"model.{name}") for name in names]
    return None if None in sizes else ModelShape(config.model.billions * 1e9, *sizes)


def _check_update(config: ConfigView, shape: ModelShape, room: float) -> None:
    workers = config.trainer.n_gpus_per_node * config.trainer.nnodes
    tokens = config.actor_rollout_ref.actor.ppo_max_token_len_per_gpu
    checkpointing = config.actor_rollout_ref.model.enable_gradient_checkpointing
    need = training_memory(shape, workers, tokens, checkpointing, config.get("lora") or 0)
    if need.total <= room:
        return
    raise UserError(
        f"model={config.model.name} cannot fit: its update needs about {need.total / GIB:.0f} GiB on each of {workers} "
        f"GPUs with {room / GIB:.0f} GiB (weights, gradients and optimizer {need.weights / GIB:.0f}, activations of "
        f"{tokens} tokens {need.activations / GIB:.0f}, logits {need.logits / GIB:.0f}). {_remedy(config, shape, room)}"
    )


def _remedy(config: ConfigView, shape: ModelShape, room: float) -> str:
    """Say which setting makes the update fit: the cheapest that does."""
    per_node, nodes, lora = config.trainer.n_gpus_per_node, config.trainer.nnodes, config.get("lora") or 0
    tokens = config.actor_rollout_ref.actor.ppo_max_token_len_per_gpu
    if training_memory(shape, per_node * nodes, tokens, True, lora).total <= room:
        return "Set actor_rollout_ref.model.enable_gradient_checkpointing=true: a third more time."
    for more in range(nodes + 1, 17):
        if training_memory(shape, per_node * more, tokens, True, lora).total <= room:
            return f"Set actor_rollout_ref.model.enable_gradient_checkpointing=true and cluster.nodes={more}."
    return "No number of nodes up to 16 is enough. Take a smaller model, or GPUs with more memory (cluster.gpu_memory)."


def _check_rollout(config: ConfigView, shape: ModelShape, room: float) -> None:
    rollout = config.actor_rollout_ref.rollout
    longest = config.select("actor_rollout_ref.rollout.max_model_len") or (
        config.data.max_prompt_length + config.data.max_response_length
    )
    need = rollout_memory(shape, rollout.tensor_model_parallel_size, longest, requests=1)
    share = rollout.gpu_memory_utilization * room
    if need > share:
        raise UserError(
            f"model={config.model.name} cannot fit: vLLM needs about {need / GIB:.0f} GiB on a GPU for the weights and "
            f"one answer of {longest} tokens, and has {share / GIB:.0f} GiB "
            "(actor_rollout_ref.rollout.gpu_memory_utilization="
            f"{rollout.gpu_memory_utilization:g} of {room / GIB:.0f}). Raise that share, or model.tensor_parallel."
        )
