"""What a run will cost, by a formula. Finished runs say it better: `past_runs.py`.

On GPUs: FLOPs a step = 10 x parameters x tokens. Ten: 2 to roll out, 2 for the old log-probs, 6 forward and
backward; 2 more with a reference model, 2 more where activations are recomputed. Tokens are those of the data
(`typical_tokens`), not the limits. A GPU does 2e14 of them a second (a fifth of what its maker names); without flash
attention two thirds of that. Each step also wakes vLLM, hands over weights and offloads: 20 s. A validation
generates an answer for each row: 2 x parameters x tokens. Start-up is 4 minutes. A checkpoint is written with 2 GB a
second. It agrees within a factor of two with a second estimate, made by reading verl's code; no
large model was run.

On a CPU a worker does 2e10 a second. On top each token of a rollout costs 0.03 ms of verl's bookkeeping, which is not
shared by workers. Validations count as on GPUs, on one worker, and 0.01 ms a token. Start-up is 30 s. Of two machines
with two cores one was almost twice as fast as this, the other took almost twice as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gapo_lab.data import set_sizes
from gapo_lab.planning.memory import checkpoint_bytes
from gapo_lab.runs import naming
from gapo_lab.utils.dotted import below

GPU_FLOPS, CPU_FLOPS = 2e14, 2e10
# Of the same GPU without flash attention: sdpa, and log-probs without its cross entropy.
SDPA_SHARE = 2 / 3
START_GPU, START_CPU = 240.0, 30.0
STEP_GPU = 20.0
SAVE_GPU = 2e9  # bytes a second
START_REHEARSAL = 4.0
# Seconds of a token: of a rollout in a step, of an answer in a validation.
CPU_STEP, CPU_ANSWER = 3e-5, 1e-5
# Mean tokens of a prompt with its answer, in the vocabulary of a large model.
TYPICAL_TOKENS = {"micro": 220, "micro_blocks": 240, "lists": 60, "git": 2150}

# Of a token, in rows that nobody has counted with a tokenizer: in a large model's vocabulary, in nano's.
CHARACTERS, CHARACTERS_ON_CPU = 4, 2

# What decides how long a run takes, by dotted key of the science; the method, tau and the seed hardly do.
COST_KEYS = (
    "trainer.total_training_steps",
    "trainer.total_epochs",
    "trainer.test_freq",
    "data.train_batch_size",
    "data.train_size",
    "data.id_size",
    "data.dev_size",
    "data.ood_size",
    "data.greedy",
    "data.max_prompt_length",
    "data.max_response_length",
    "actor_rollout_ref.rollout.n",
    "actor_rollout_ref.actor.use_kl_loss",
    "actor_rollout_ref.actor.ppo_mini_batch_size",
    "actor_rollout_ref.model.lora_rank",
    "rehearsal.steps",
    "rehearsal.seconds",
)


def cost_key(spec: Mapping[str, Any]) -> tuple:
    """Return what two runs share that take equally long on the same machines; from a spec as a dict."""
    science = spec.get("science") or {}
    what = (naming.model_name(spec), spec.get("data"), spec.get("backend"))
    rows = science.get("data.content") if spec.get("data") == "parquet" else None
    return (*what, *(repr(science.get(key)) for key in COST_KEYS), *([rows] if rows else []))


@dataclass(frozen=True)
class CostInputs:
    """The numbers that the formula is about.

    steps: None where they depend on data that nobody has counted yet. typical_tokens: mean tokens of a row, 0: unknown.
    measured_tokens: the same as a run has measured them, 0 where none has. starts: how often its processes are started.
    """

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
    typical_tokens: float = 0.0
    measured_tokens: float = 0.0
    save_every: int = 0
    starts: int = 1
    recomputes: bool = False
    flash_attention: bool = True
    rehearsal_steps: int = 0
    rehearsal_seconds: float = 0.0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> CostInputs:
        """From a run's resolved configuration, by dotted key."""

        def get(key: str) -> Any:
            return config.get(key)

        there = rows_here(config)
        dev = there.pop("dev", 0) if there else get("data.dev_size") or 0
        named = (get("data.id_size") or 0) + (get("data.ood_size") or 0)
        tasks = sum(there.values()) - there["train"] if there else named
        answers = tasks * (2 if get("data.greedy") else 1) + dev
        return cls(
            steps=steps(config),
            prompts=config["data.train_batch_size"],
            rollouts=config["actor_rollout_ref.rollout.n"],
            prompt_tokens=config["data.max_prompt_length"],
            answer_tokens=config["data.max_response_length"],
            reference_model=bool(get("actor_rollout_ref.actor.use_kl_loss")),
            billions=config["model.billions"],
            needs_gpu=bool(get("backend.needs_gpu")),
            workers=config["trainer.n_gpus_per_node"] * config["trainer.nnodes"],
            test_tasks=answers,
            test_every=get("trainer.test_freq") or 0,
            typical_tokens=typical_tokens(config),
            save_every=get("trainer.save_freq") or 0,
            starts=2 if get("scale.resume_after") else 1,
            recomputes=bool(get("actor_rollout_ref.model.enable_gradient_checkpointing")),
            flash_attention=get("actor_rollout_ref.model.override_config.attn_implementation") != "sdpa",
            rehearsal_steps=get("rehearsal.steps") or 0,
            rehearsal_seconds=get("rehearsal.seconds") or 0.0,
        )

    @property
    def row_tokens(self) -> float:
        """Mean tokens of a prompt with its answer."""
        if self.measured_tokens:
            return self.measured_tokens
        half = (self.prompt_tokens + self.answer_tokens) / 2
        return min(self.typical_tokens or half, 2 * half if self.needs_gpu else half)

    @property
    def validations(self) -> int:
        """How often a run validates: before the first step, every `test_every` steps and at the end."""
        return 1 + (-(-(self.steps or 0) // self.test_every) if self.test_every > 0 else 0)

    @property
    def saves(self) -> int:
        """How often a run writes a checkpoint: every `save_every` steps and at the end."""
        return -(-(self.steps or 0) // self.save_every) if self.save_every > 0 else 0


@dataclass(frozen=True)
class Expected:
    """How long a run will take.

    seconds: None where nobody knows. validating: the part of them that goes into validations. runs: keys of the
    finished runs in which that was measured, none where it is a formula's. scaled: they were of another size.
    """

    seconds: float | None = None
    validating: float = 0.0
    runs: tuple[str, ...] = ()
    scaled: bool = False

    @property
    def share_of_validations(self) -> float:
        """Which share of the run's time goes into validations; 0 where nobody knows."""
        return self.validating / self.seconds if self.seconds else 0.0


UNKNOWN = Expected()


def estimated(run: CostInputs) -> Expected:
    """Return what the formula says."""
    validating = 0.0 if run.rehearsal_steps or run.steps is None else run.validations * validation_seconds(run)
    return Expected(formula(run), validating)


def formula(run: CostInputs) -> float | None:
    """Return the expected seconds of a run; None where the steps are unknown."""
    if run.rehearsal_steps:
        return START_REHEARSAL + run.rehearsal_steps * run.rehearsal_seconds
    if run.steps is None:
        return None
    validating = run.validations * validation_seconds(run)
    return run.starts * start_seconds(run) + run.steps * step_seconds(run) + validating + run.saves * save_seconds(run)


def start_seconds(run: CostInputs) -> float:
    """Return the seconds until a run's processes are ready to train."""
    return START_GPU if run.needs_gpu else START_CPU


def save_seconds(run: CostInputs) -> float:
    """Return the seconds that writing a checkpoint takes; of small models on a CPU none."""
    return checkpoint_bytes(run.billions * 1e9) / SAVE_GPU if run.needs_gpu else 0.0


def step_seconds(run: CostInputs) -> float:
    """Return the seconds of one training step."""
    rollouts = run.prompts * run.rollouts
    passes = 10 + 2 * run.reference_model + 2 * (run.recomputes and run.needs_gpu)
    tokens = rollouts * run.row_tokens
    flops = passes * run.billions * 1e9 * tokens
    return flops / _speed(run) + (STEP_GPU if run.needs_gpu else tokens * CPU_STEP)


def validation_seconds(run: CostInputs) -> float:
    """Return the seconds of one validation: an answer to each row, greedy twins too."""
    tokens = run.test_tasks * run.row_tokens
    flops = run.billions * 1e9 * tokens
    return 2 * flops / _speed(run) if run.needs_gpu else 2 * flops / CPU_FLOPS + tokens * CPU_ANSWER


def _speed(run: CostInputs) -> float:
    """FLOPs a second of all workers."""
    one = GPU_FLOPS * (1 if run.flash_attention else SDPA_SHARE) if run.needs_gpu else CPU_FLOPS
    return one * run.workers


def steps(config: Mapping[str, Any]) -> int | None:
    """Training steps; None where they depend on data that nobody has counted yet."""
    if count := config.get("trainer.total_training_steps"):
        return count
    size = training_tasks(config)
    if size is None:
        return None
    return config["trainer.total_epochs"] * (size // config["data.train_batch_size"])


def training_tasks(config: Mapping[str, Any]) -> int | None:
    """How many tasks are trained on. Of repositories that are not mined yet: at the most (`data.max_per_repo` each)."""
    if there := rows_here(config):
        return there["train"]
    if size := config.get("data.train_size"):
        return size
    if config.get("data.name") != "git" or config.get("data.path"):
        return None
    most = config.get("data.max_per_repo")
    return None if most is None else int(most * len(config["data.repos"]) * (1 - config["data.id_share"]))


def typical_tokens(config: Mapping[str, Any]) -> float:
    """Mean tokens of a prompt with its answer in these data; 0 where nobody knows, as of generated rows in nano's
    vocabulary.

    Of `data=parquet` the prompts are measured, and with `reward=edit` the truths: with other rewards a truth is no
    answer, so half of the limit is taken. UserError where a file cannot be read.
    """
    on_gpu = bool(config.get("backend.needs_gpu"))
    if config["data.name"] != "parquet":
        return TYPICAL_TOKENS.get(config["data.name"], 0) if on_gpu else 0
    from gapo_lab.data.user_rows import rows

    of_a_token = CHARACTERS if on_gpu else CHARACTERS_ON_CPU
    prompt, truth = (length / of_a_token for length in rows.characters(below(config, "data")))
    return prompt + (truth if config.get("reward.name") == "edit" else config["data.max_response_length"] / 2)


def rows_here(config: Mapping[str, Any]) -> dict[str, int]:
    """How many rows each set has, by name, where they are on this machine; else {} (`set_sizes.known`)."""
    return set_sizes.known(below(config, "data")) if config.get("data.name") in ("parquet", "git") else {}


def gpus(config: Mapping[str, Any]) -> int:
    """Accelerators a run occupies, over all nodes."""
    return (config.get("cluster.gpus") or 0) * (config.get("cluster.nodes") or 1)
