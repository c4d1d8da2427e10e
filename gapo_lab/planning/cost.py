"""What a run will cost, before it has run: from finished runs with the same cost key, else from a formula.

The formula: FLOPs = 10 x parameters x tokens, where tokens = steps x prompts x rollouts x (longest prompt +
longest answer) / 2. Ten: 2 to roll out, 2 for the old log-probs, 6 forward and backward; with a reference
model 12. A GPU does 2e14 of them a second (a fifth of what its maker names). Start-up is 4 minutes on GPUs.

On a CPU a worker does 2e11 a second (the rollouts of a prompt share its computation: docs/speed.md), and each rollout
costs 7 ms of verl's bookkeeping on top, which is not shared by workers. Validations count 4 x parameters x tokens and
1 ms an answer, on one worker. Start-up is 25 s of one core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gapo_lab.runs import naming

GPU_FLOPS, CPU_FLOPS = 2e14, 2e11
START_GPU, START_CPU = 240.0, 25.0
START_REHEARSAL = 4.0
CPU_ROLLOUT, CPU_ANSWER = 7e-3, 1e-3

# What decides how long a run takes, by dotted key of the science; the method, tau and the seed hardly do.
COST_KEYS = (
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


def cost_key(spec: Mapping[str, Any]) -> tuple:
    """What two runs share that take equally long on the same machines; from a spec as a dict."""
    science = spec.get("science") or {}
    what = (naming.model_name(spec), spec.get("data"), spec.get("backend"))
    return (*what, *(repr(science.get(key)) for key in COST_KEYS))


@dataclass(frozen=True)
class CostInputs:
    """The numbers that the formula is about. ``steps``: None where they depend on data that nobody has counted yet."""

    steps: int | None
    prompts: int
    rollouts: int
    prompt_tokens: int
    answer_tokens: int
    reference_model: bool
    billions: float
    needs_gpu: bool
    workers: int
    test_tasks: int
    test_every: int
    rehearsal_steps: int = 0
    rehearsal_seconds: float = 0.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> CostInputs:
        """From a run's resolved configuration, by dotted key."""
        get = config.get
        tasks = (get("data.id_size") or 0) + (get("data.ood_size") or 0)
        return cls(
            steps=steps(config),
            prompts=get("data.train_batch_size"),
            rollouts=get("actor_rollout_ref.rollout.n"),
            prompt_tokens=get("data.max_prompt_length"),
            answer_tokens=get("data.max_response_length"),
            reference_model=bool(get("actor_rollout_ref.actor.use_kl_loss")),
            billions=get("model.billions"),
            needs_gpu=bool(get("backend.needs_gpu")),
            workers=get("trainer.n_gpus_per_node") * get("trainer.nnodes"),
            test_tasks=tasks * (2 if get("data.greedy") else 1),
            test_every=get("trainer.test_freq") or 0,
            rehearsal_steps=get("rehearsal.steps") or 0,
            rehearsal_seconds=get("rehearsal.seconds") or 0.0,
        )

    @property
    def row_tokens(self) -> float:
        """Mean tokens of a prompt with its answer."""
        return (self.prompt_tokens + self.answer_tokens) / 2


def formula(run: CostInputs) -> float | None:
    """Expected seconds of a run; None where the steps are unknown."""
    if run.rehearsal_steps:
        return START_REHEARSAL + run.rehearsal_steps * run.rehearsal_seconds
    if run.steps is None:
        return None
    rollouts = run.prompts * run.rollouts
    flops = (12 if run.reference_model else 10) * run.billions * 1e9 * rollouts * run.row_tokens
    if run.needs_gpu:
        return START_GPU + run.steps * flops / (GPU_FLOPS * run.workers)
    step = rollouts * CPU_ROLLOUT + flops / (CPU_FLOPS * run.workers)
    return START_CPU + run.steps * step + _validations(run, run.steps)


def _validations(run: CostInputs, count: int) -> float:
    """Seconds of all validations on a CPU: before the first step, every ``test_every`` steps and at the end."""
    times = 1 + (-(-count // run.test_every) if run.test_every > 0 else 0)
    flops = 4 * run.billions * 1e9 * run.test_tasks * run.row_tokens
    return times * (run.test_tasks * CPU_ANSWER + flops / CPU_FLOPS)


def steps(config: Mapping[str, Any]) -> int | None:
    """Training steps; None where they depend on data that nobody has counted yet."""
    if count := config.get("trainer.total_training_steps"):
        return count
    size = config.get("data.train_size")
    if size is None:
        return None
    return config["trainer.total_epochs"] * (size // config["data.train_batch_size"])


def gpus(config: Mapping[str, Any]) -> int:
    """Accelerators a run occupies, over all nodes."""
    return (config.get("cluster.gpus") or 0) * (config.get("cluster.nodes") or 1)
