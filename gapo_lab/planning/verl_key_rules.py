"""verl keys that GAPO Lab sets itself, or that verl would silently ignore in this setup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.planning import agent_loop_rules, ignored_keys

# The run folder and the data sets are ours: a value given here would be replaced.
DECIDED = {
    "data.train_files": "rows of your own are data=parquet data.train=FILE data.id=FILE (docs/your-own.md)",
    "data.val_files": "test sets of your own are data=parquet data.id=FILE data.ood={NAME: FILE} (docs/your-own.md)",
    "trainer.default_local_dir": "checkpoints lie in the run folder; run_root= says where that is",
    "trainer.rollout_data_dir": "rollouts are written to the run folder, every scale.rollouts_every steps",
    "trainer.validation_data_dir": "validations are written to the run folder",
    "actor_rollout_ref.model.lora_adapter_path": "merge the adapter into the model (peft's merge_and_unload) and give "
    "model=FOLDER. lora= trains a new one",
    "trainer.resume_mode": "a run resumes from its own last checkpoint. To start it anew, remove its run folder",
    "trainer.resume_from_path": "a run resumes from its own last checkpoint. For other weights give model.path=FOLDER",
}
ONLY = {
    "trainer.use_v1": (True, "runs are made with verl's v1 trainer"),
    "trainer.v1.trainer_mode": ("sync", "runs are made with verl's synchronous trainer"),
}
WHOLE = (
    *(
        "data.train_size",
        "data.id_size",
        "data.dev_size",
        "data.ood_size",
        "data.generator_seed",
        "trainer.total_training_steps",
    ),
    *("trainer.test_freq", "trainer.save_freq", "trainer.total_epochs"),
)
NUMBERS = (
    *("actor_rollout_ref.actor.optim.lr", "actor_rollout_ref.actor.optim.weight_decay", "algorithm.gamma"),
    *("actor_rollout_ref.rollout.temperature", "actor_rollout_ref.rollout.top_p"),
)
TEXTS = ("model.path", "data.name", "run_root", "data.template")

# Estimators that give the only rollout of a group an advantage of 0: nothing would be learnt.
ZERO_ALONE = ("gapo", "gapo_centred", "huber", "median", "qae", "rank", "trimmed_mean")


def key_problems(config: ConfigView, written: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each key that would be replaced or ignored, that the backend does not have or is of the wrong
    kind.

    ``written``: all settings by dotted key, with their interpolations as they stand.
    """
    yield from _problems(config)
    yield from _backend(config)
    yield from ignored_keys.problems(written, config.flat())


def _filled(default: object, config: ConfigView) -> object:
    """verl's default with the values that it refers to."""
    if not isinstance(default, str):
        return default
    return re.sub(r"\$\{([\w.]+)\}", lambda match: str(config.select(match[1])), default)


# Backend -> what of verl it is made of; a key that says something else would not be obeyed.
ENGINES = {
    "cpu": {"actor_rollout_ref.rollout.name": ("gapo_cpu",), "trainer.device": ("cpu",)},
    "vllm_cpu": {"actor_rollout_ref.rollout.name": ("vllm",), "trainer.device": ("cpu",)},
    "vllm": {"actor_rollout_ref.rollout.name": ("vllm",), "trainer.device": ("cuda",)},
}
# What is said of engines of verl's that people ask for.
NOT_RUN = {
    "sglang": "rollouts are made with vLLM",
    "trtllm": "rollouts are made with vLLM",
    "hf": "rollouts are made with vLLM, or with backend=cpu",
    "megatron": "models are trained with FSDP2",
    "fsdp": "models are trained with FSDP2",
    "npu": "a run is made on CUDA GPUs, or with backend=cpu",
}


def _backend(config: ConfigView) -> Iterator[str]:
    backend = config.backend.name
    actor, ref = (f"actor_rollout_ref.{role}.strategy" for role in ("actor", "ref"))
    rules = ENGINES.get(backend, {}) | {actor: ("fsdp2",)}
    if config.select(ref) != config.select(actor):  # which it refers to
        rules |= {ref: ("fsdp2",)}
    for key, allowed in rules.items():
        value = config.select(key)
        if value not in allowed:
            why = f": {NOT_RUN[value]}" if value in NOT_RUN else ""
            yield f"{key}={value}: backend={backend} has {' or '.join(allowed)}{why}. Leave it out"
    yield from agent_loop_rules.problems(config)
    yield from _lora(config)


def _lora(config: ConfigView) -> Iterator[str]:
    """LoRA is one word, from which what vLLM needs follows."""
    rank, node = config.get("lora"), "actor_rollout_ref.model"
    if (given := config.select(f"{node}.lora_rank")) != rank:
        yield f"{node}.lora_rank={given}: the override is lora={given}. Give that"
    for key in () if rank else (f"{node}.{name}" for name in ("lora_alpha", "target_modules", "exclude_modules")):
        if config.select(key) != verl_defaults()[key]:
            yield f"{key}={config.select(key)}: read with LoRA only. Give lora=RANK, too"
    if rank and config.backend.name == "vllm_cpu":
        yield f"lora={rank}: was not tried with vLLM on a CPU. Take backend=cpu or backend=vllm"
    if config.backend.name == "cpu" and config.select(f"{node}.lora.merge"):
        yield f"{node}.lora.merge=true: backend=cpu always answers with the merged weights. Leave it out"


def _problems(config: ConfigView) -> Iterator[str]:
    defaults = verl_defaults()
    for key, remedy in DECIDED.items():
        if config.select(key) != _filled(defaults.get(key), config):
            yield f"{key}={config.select(key)}: {remedy}"
    for key, (value, why) in ONLY.items():
        if key in config and config.select(key) != value:
            yield f"{key}={config.select(key)}: {why}. Leave it at {value}"
    for keys, kinds, words in (
        (WHOLE, (int,), "a whole number"),
        (NUMBERS, (int, float), "a number"),
        (TEXTS, (str,), "text"),
    ):
        for key in keys:
            value = config.select(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
                yield f"{key}={value}: must be {words}"
    for key in ("model.path", "run_root"):
        if not config.select(key):
            yield f"{key}={config.select(key)}: must be a path"
    estimator = config.select("algorithm.adv_estimator")
    if config.select("algorithm.norm_adv_by_std_in_grpo") is False and estimator != "grpo":
        yield f"algorithm.norm_adv_by_std_in_grpo=false: not read by {estimator}. Take algo=dr_grpo"
    if estimator == "gapo" and config.select("algorithm.gapo") is None:
        yield "algorithm.adv_estimator=gapo: without its settings. Take algo=gapo_grpo or algo=gapo_dapo"
    if estimator in ZERO_ALONE and config.select("actor_rollout_ref.rollout.n") == 1:
        yield f"actor_rollout_ref.rollout.n=1: {estimator} compares the rollouts of a group. Give at least 2"
