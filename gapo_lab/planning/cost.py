"""What a run will cost, before it has run: from finished runs of the same shape, else from a formula.

The formula: FLOPs = 10 x parameters x tokens, where tokens = steps x prompts x rollouts x (longest prompt +
longest answer) / 2. Ten: 2 to roll out, 2 for the old log-probs, 6 forward and backward; with a reference
model 12. A GPU does 2e14 of them a second (a fifth of what its maker names). Start-up is 4 minutes on GPUs.

On a CPU a worker does 2e11 a second (the rollouts of a prompt share its computation: docs/speed.md), and each rollout
costs 7 ms of verl's bookkeeping on top, which is not shared by workers. Validations count 4 x parameters x tokens and
1 ms an answer, on one worker. Start-up is 25 s of one core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GPU_FLOPS, CPU_FLOPS = 2e14, 2e11
START_GPU, START_CPU = 240.0, 25.0
START_REHEARSAL = 4.0
CPU_ROLLOUT, CPU_ANSWER = 7e-3, 1e-3

# What decides how long a run takes, by dotted key of the science; the method, tau and the seed hardly do.
SHAPE = (
    "trainer.total_training_steps",
    "trainer.total_epochs",
    "trainer.test_freq",
    "data.train_batch_size",
    "data.train_size",
    "data.id_size",
    "data.ood_size",
    "data.greedy",
    "data.max_prompt_length",
    "data.max_response_length",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.actor.use_kl_loss",
    "rehearsal.steps",
    "rehearsal.seconds",
)


def shape(spec: Mapping[str, Any]) -> tuple:
    """What two runs share that take equally long on the same machines; from a spec as a dict."""
    science = spec.get("science") or {}
    words = tuple(spec.get(word) for word in ("model", "data", "backend"))
    return (*words, *(repr(science.get(key)) for key in SHAPE))


def formula(setting: Mapping[str, Any]) -> float | None:
    """Expected seconds of a run from its resolved settings by dotted key; None where the steps are unknown."""
    get = setting.get
    if get("rehearsal.steps"):
        return START_REHEARSAL + get("rehearsal.steps") * get("rehearsal.seconds")
    if (count := steps(setting)) is None:
        return None
    rollouts = get("data.train_batch_size") * get("actor_rollout_ref.rollout.n")
    tokens = rollouts * (get("data.max_prompt_length") + get("data.max_response_length")) / 2
    per_token = 12 if get("actor_rollout_ref.actor.use_kl_loss") else 10
    flops = per_token * get("model.billions") * 1e9 * tokens
    workers = get("trainer.n_gpus_per_node") * get("trainer.nnodes")
    if get("backend.needs_gpu"):
        return START_GPU + count * flops / (GPU_FLOPS * workers)
    step = rollouts * CPU_ROLLOUT + flops / (CPU_FLOPS * workers)
    return START_CPU + count * step + _validations(setting, count)


def _validations(setting: Mapping[str, Any], count: int) -> float:
    """Seconds of all validations on a CPU: before the first step, every test_freq steps and at the end."""
    every = setting.get("trainer.test_freq") or 0
    times = 1 + (-(-count // every) if every > 0 else 0)
    answers = ((setting.get("data.id_size") or 0) + (setting.get("data.ood_size") or 0)) * (
        2 if setting.get("data.greedy") else 1
    )
    tokens = answers * (setting.get("data.max_prompt_length") + setting.get("data.max_response_length")) / 2
    return times * (answers * CPU_ANSWER + 4 * setting.get("model.billions") * 1e9 * tokens / CPU_FLOPS)


def steps(setting: Mapping[str, Any]) -> int | None:
    """Training steps; None where they depend on data that nobody has counted yet."""
    if count := setting.get("trainer.total_training_steps"):
        return count
    size = setting.get("data.train_size")
    if size is None:
        return None
    return setting["trainer.total_epochs"] * (size // setting["data.train_batch_size"])


def gpus(setting: Mapping[str, Any]) -> int:
    """Accelerators a run occupies, over all nodes."""
    return (setting.get("cluster.gpus") or 0) * (setting.get("cluster.nodes") or 1)
