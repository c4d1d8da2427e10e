"""What can be known to be wrong before anything starts: one clear line each, with the remedy. Pure but for a
look at the file system and for GPUs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config.override_errors import explain
from gapo_lab.config.user_models import cached
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.models import model_files, smollm2
from gapo_lab.planning.allowed_values import wrong_values
from gapo_lab.planning.cluster_rules import check_cluster
from gapo_lab.planning.data_rules import check_data
from gapo_lab.planning.keep_rules import check_keeping
from gapo_lab.planning.memory_check import check_memory
from gapo_lab.planning.method_rules import METHOD_RULES
from gapo_lab.planning.reward_rules import check_reward
from gapo_lab.planning.user_settings import USER_RULES
from gapo_lab.planning.verl_key_rules import key_problems
from gapo_lab.runs import claims
from gapo_lab.training.vllm_rollout import metadata
from gapo_lab.utils.dotted import flatten
from gapo_lab.utils.machine import has_gpu
from gapo_lab.utils.setup_command import setup_command
from gapo_lab.utils.text import several

# A rule yields a line for each fault that it finds, or raises UserError.
Rule = Callable[[ConfigView], Iterable[str] | None]
# Keys that name a file, of which several things may be wrong.
FILES = ("reward", "algo.path")
# Sizes of attention heads that vLLM has code for on a CPU.
VLLM_CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)


def check(config: DictConfig) -> None:
    """Raise UserError for what about this run cannot work, a line each."""
    try:
        written = flatten(OmegaConf.to_container(config, resolve=False, throw_on_missing=True))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    check_settings(ConfigView.of(config), written)


def check_settings(config: ConfigView, written: Mapping[str, Any]) -> None:
    """As `check`, for a configuration that is resolved already; ``written`` has its interpolations as they stand."""
    if found := faults(config, written):
        raise UserError("\n".join(found))


def faults(config: ConfigView, written: Mapping[str, Any], rules: tuple[Rule, ...] | None = None) -> list[str]:
    """Everything about this run that cannot work, one line for each value; [] where all is well.

    rules: what is looked at; None is all.
    """
    found: dict[str, str] = {}
    every: tuple[Rule, ...] = (
        _missing,
        _words,
        partial(key_problems, written=written),
        *METHOD_RULES,
        *USER_RULES,
        *RULES,
    )
    for rule in every if rules is None else rules:
        try:
            for line in rule(config) or ():
                found.setdefault(_about(line), line)
        except UserError as error:
            found.setdefault(_about(str(error)), str(error))
        except (TypeError, ValueError, AttributeError, ZeroDivisionError):
            if not found:  # else a value is of the wrong kind, which is told already
                raise
    return list(found.values())


def _about(line: str) -> str:
    """Return the key of the value that a line is about, which two rules may refuse; the whole line where it is about
    one of several things below a key (`claims: ...`)."""
    named = re.match(r"[\w.]+(?==| must be given)", line)
    return named[0] if named and named[0] not in FILES else line


def _missing(config: ConfigView) -> Iterator[str]:
    """Tell what has no value yet; other rules say that it is no file, or no number."""
    for key, value in config.flat().items():
        if value == "???":
            yield f"{key} must be given: {key}=VALUE"


def _words(config: ConfigView) -> Iterator[str]:
    if not isinstance(config.study, str) or not re.fullmatch(r"[\w][\w.-]*", config.study):
        yield f"study={config.study}: a name of letters, digits, dots, dashes and underscores"
    for claim in claims.read(config.get("claims")):
        if "/" not in claim.metric:
            yield f"claims: {claim}: no metric has this name. Name it in full: val/id/{claim.metric}"


def _batches(config: ConfigView) -> Iterator[str]:
    batch, mini = config.data.train_batch_size, config.actor_rollout_ref.actor.ppo_mini_batch_size
    n = config.actor_rollout_ref.rollout.n
    workers = config.trainer.n_gpus_per_node * config.trainer.nnodes
    if batch % mini:
        yield (
            f"data.train_batch_size={batch} does not divide into mini-batches of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini} prompts. Choose a divisor of {batch}"
        )
    if (mini * n) % workers:
        yield (
            f"a mini-batch of {mini} prompts x {n} rollouts does not divide over {workers} workers; "
            "change actor_rollout_ref.actor.ppo_mini_batch_size, actor_rollout_ref.rollout.n or trainer.n_gpus_per_node"
        )


def _model(config: ConfigView) -> Iterator[str]:
    model, here = config.model, config.cluster.name == "local"
    backend = config.backend.name
    if not config.backend.needs_gpu and not model.cpu:
        yield (
            f"model={model.name} has {model.billions:g}B parameters and cannot be trained without a GPU. "
            f"Leave backend={backend} out, or take model=nano or model=smollm2_135m"
        )
    elif backend == "vllm_cpu" and not metadata.is_installed():
        yield f"backend=vllm_cpu: vLLM is not installed. Run `{setup_command(vllm_cpu=True)}`."
    elif backend == "vllm_cpu" and (size := config.select("model.head_size")) not in (None, *VLLM_CPU_HEADS):
        yield (
            f"model.head_size={size}: on a CPU vLLM has attention for {', '.join(map(str, VLLM_CPU_HEADS))} only. Take "
            "backend=cpu"
        )
    if config.backend.needs_gpu and here:
        needed = several(model.gpus, "GPU")
        if not has_gpu():
            small = "model=smollm2_135m" if config.data.name in ("git", "parquet") else "model=nano"
            instead = "Leave backend out" if model.cpu else f"Take {small}"
            yield (
                f"model={model.name} with backend={config.backend.name} needs {needed} and this machine has "
                f"none. {instead}, or run it on a cluster: cluster=slurm"
            )
        elif 0 < (there := len(list(Path("/dev").glob("nvidia[0-9]*")))) < model.gpus:
            yield (
                f"model={model.name} needs {needed} and this machine has {there}. Run it on a cluster "
                "(cluster=slurm), or set model.gpus and the keys that follow from it"
            )
        elif not metadata.is_installed():
            yield f"backend=vllm: vLLM is not installed. Run `{setup_command(gpu=True)}`."
    if config.backend.needs_gpu:
        yield from _copies(config)


def _copies(config: ConfigView) -> Iterator[str]:
    """vLLM needs a whole number of copies of the model on the run's GPUs."""
    gpus = config.trainer.n_gpus_per_node * config.trainer.nnodes
    over = config.actor_rollout_ref.rollout.tensor_model_parallel_size
    if over and gpus % over:
        yield (
            f"model.tensor_parallel={over}: vLLM would cut the model over {over} GPUs, and the run has {gpus}. "
            f"Set model.tensor_parallel={math.gcd(gpus, over)}"
        )


def _weights(config: ConfigView) -> Iterator[str]:
    model = config.model
    path = Path(os.path.expanduser(model.path))
    if path == smollm2.folder():
        smollm2.available()
    elif (path.is_absolute() or model.path.startswith(".")) and not (path / "config.json").is_file():
        yield f"model.path={model.path}: no model there (no config.json). Give a folder or a Hugging Face id"
    elif path.is_dir():
        lacking = [] if model_files.weights(path) else ["weights (*.safetensors)"]
        lacking += [] if model_files.has_tokenizer(path) else ["tokenizer (tokenizer.json)"]
        if lacking:
            yield f"model.path={model.path}: has no {' and no '.join(lacking)}. Copy what is missing into the folder"
    elif model.cpu and not config.backend.needs_gpu:  # a cluster with GPUs may have another cache
        cached(model.path, "model.path")


def _rollout(config: ConfigView) -> Iterator[str]:
    """Whether vLLM is left room for the longest prompt with the longest answer: it would cut the answer."""
    longest, wanted = (
        config.actor_rollout_ref.rollout.max_model_len,
        config.data.max_prompt_length + config.data.max_response_length,
    )
    if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int) or longest < wanted):
        yield (
            f"actor_rollout_ref.rollout.max_model_len={longest}: must be at least data.max_prompt_length + "
            f"data.max_response_length = {wanted}. Leave it out."
        )


def _expected(config: ConfigView) -> Iterator[str]:
    """Only what is one text can be expected by its likelihood."""
    asked, reward = config.data.expected, config.reward
    if not isinstance(asked, bool):
        yield f"data.expected={asked}: must be true or false"
    elif asked and (reward.name, reward.custom_reward_function.name) != ("edit", "compute_score"):
        yield (
            f"data.expected=true: reward={reward.name} is no exact match with one text. Leave data.expected out, and "
            "average several answers: actor_rollout_ref.rollout.val_kwargs.n=8"
        )


RULES: tuple[Rule, ...] = (
    *(
        wrong_values,
        _batches,
        _model,
        check_memory,
        _weights,
        _rollout,
        check_data,
        check_reward,
        _expected,
        check_cluster,
    ),
    check_keeping,
)
# What matters where a model only answers.
EVALUATED: tuple[Rule, ...] = (wrong_values, _weights, check_data, check_reward)
