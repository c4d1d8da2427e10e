"""What can be known to be wrong before anything starts: one clear line each, with the remedy. Pure but for a
look at the file system and for GPUs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config.compose import explain
from gapo_lab.config.view import ConfigView
from gapo_lab.data import fingerprint
from gapo_lab.data.ood import registry as ood
from gapo_lab.data.own import sets
from gapo_lab.errors import UserError
from gapo_lab.models import smollm2
from gapo_lab.planning.cluster_rules import check_cluster
from gapo_lab.planning.disk import check_keeping
from gapo_lab.planning.fits import check_memory
from gapo_lab.planning.method_rules import check_method
from gapo_lab.planning.reward_rules import check_reward
from gapo_lab.planning.verl_key_rules import check_keys
from gapo_lab.training.vllm_rollout import metadata
from gapo_lab.utils.dotted import flatten
from gapo_lab.utils.machine import has_gpu

DATA = ("micro", "git", "lists", "parquet")


def check(config: DictConfig) -> None:
    """Raise UserError for the first thing about this run that cannot work."""
    try:
        tree = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    check_settings(ConfigView(flatten(tree)))


def check_settings(config: ConfigView) -> None:
    """As `check`, for a configuration that is resolved already."""
    _words(config)
    check_keys(config)
    check_method(config)
    _numbers(config)
    _batches(config)
    _model(config)
    _rollout(config)
    _data(config)
    check_reward(config)
    check_cluster(config)
    check_keeping(config)


def _words(config: ConfigView) -> None:
    if not isinstance(config.study, str) or not re.fullmatch(r"[\w][\w.-]*", config.study):
        raise UserError(f"study={config.study}: a name of letters, digits, dots, dashes and underscores")
    if config.tracking not in ("live", "later"):
        raise UserError(f"tracking={config.tracking}: must be live or later")


def _numbers(config: ConfigView) -> None:
    positive = (
        "data.train_batch_size",
        "data.max_prompt_length",
        "data.max_response_length",
        "actor_rollout_ref.rollout.n",
        "actor_rollout_ref.actor.ppo_mini_batch_size",
        "trainer.n_gpus_per_node",
        "trainer.nnodes",
    )
    for key in positive:
        value = config.select(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{key}={value}: must be a whole number above 0")
    if isinstance(config.seed, bool) or not isinstance(config.seed, int) or config.seed < 0:
        raise UserError(f"seed={config.seed}: must be a whole number from 0 on")
    steps = config.trainer.total_training_steps
    if steps is not None and (not isinstance(steps, int) or steps < 1):
        raise UserError(f"trainer.total_training_steps={steps}: must be a whole number above 0, or null for epochs")


def _batches(config: ConfigView) -> None:
    batch, mini = config.data.train_batch_size, config.actor_rollout_ref.actor.ppo_mini_batch_size
    n = config.actor_rollout_ref.rollout.n
    workers = config.trainer.n_gpus_per_node * config.trainer.nnodes
    if batch % mini:
        raise UserError(
            f"data.train_batch_size={batch} does not divide into mini-batches of "
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini} prompts; choose a divisor of {batch}"
        )
    if (mini * n) % workers:
        raise UserError(
            f"a mini-batch of {mini} prompts x {n} rollouts does not divide over {workers} workers; "
            "change actor_rollout_ref.actor.ppo_mini_batch_size, actor_rollout_ref.rollout.n or trainer.n_gpus_per_node"
        )


def _model(config: ConfigView) -> None:
    model, here = config.model, config.cluster.name == "local"
    backend = config.backend.name
    if not config.backend.needs_gpu and not model.cpu:
        raise UserError(
            f"model={model.name} has {model.billions:g}B parameters and cannot be trained without a GPU; "
            f"leave backend={backend} out, or take model=nano or model=smollm2_135m"
        )
    if backend == "vllm_cpu" and not metadata.is_installed():
        raise UserError("backend=vllm_cpu: vLLM is not installed. Run `make setup VLLM_CPU=1`.")
    if config.backend.needs_gpu and here:
        if not has_gpu():
            raise UserError(
                f"model={model.name} with backend={config.backend.name} needs {model.gpus} GPUs and this machine has "
                f"none; {'leave backend out' if model.cpu else 'take model=nano'}, or run it on a cluster"
            )
        if 0 < (there := len(list(Path("/dev").glob("nvidia[0-9]*")))) < model.gpus:
            raise UserError(
                f"model={model.name} needs {model.gpus} GPUs and this machine has {there}; run it on a cluster, or set "
                "model.gpus and the keys that follow from it"
            )
        if not metadata.is_installed():
            raise UserError("backend=vllm: vLLM is not installed. Run `make setup GPU=1`.")
    check_memory(config)
    path = Path(os.path.expanduser(model.path))
    if path == smollm2.folder():
        smollm2.available()
    elif (path.is_absolute() or model.path.startswith(".")) and not (path / "config.json").is_file():
        raise UserError(f"model.path={model.path}: no model there (no config.json); give a folder or a Hugging Face id")


def _rollout(config: ConfigView) -> None:
    """Whether vLLM is left room for the longest prompt with the longest answer: it would cut the answer."""
    longest, wanted = (
        config.actor_rollout_ref.rollout.max_model_len,
        config.data.max_prompt_length + config.data.max_response_length,
    )
    if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int) or longest < wanted):
        raise UserError(
            f"actor_rollout_ref.rollout.max_model_len={longest}: must be at least data.max_prompt_length + "
            f"data.max_response_length = {wanted}. Leave it out."
        )


def _own_rows(config: ConfigView) -> None:
    """The words of `data=parquet`, and the columns of the files."""
    for key in ("train_size", "id_size", "ood_size"):
        value = config.data.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UserError(f"data.{key}={value}: must be a whole number above 0, or null for all rows")
    sets.check(config.data)


def _data(config: ConfigView) -> None:
    data = config.data
    if data.name not in DATA:
        raise UserError(f"data.name={data.name}: no such data; there are {', '.join(DATA)}")
    if data.name == "parquet":
        _own_rows(config)
        return
    if data.name == "lists" and config.model.name == "nano_large":
        raise UserError("model=nano_large: was only taught edits; data=lists takes model=nano")
    if data.template is not None and not Path(data.template).is_file():
        raise UserError(f"data.template={data.template}: no such file; leave the key out for the built-in template")
    if data.name == "git" and not data.path:
        if not data.repos:
            raise UserError("data.repos: no repository; give paths of git repositories on this machine")
        for repo in data.repos:
            if not Path(repo).is_dir():
                raise UserError(f"data.repos: {repo} is not a folder; give paths of git repositories on this machine")
    if data.ood not in ood.NAMES:
        raise UserError(f"data.ood={data.ood}: no such set; there are {', '.join(ood.NAMES)}")
    if data.ood_prompt not in ("own", "template"):
        raise UserError(f"data.ood_prompt={data.ood_prompt}: must be own or template")
    for key in ("train_size", "id_size", "ood_size", "samples"):
        value = data.get(key, 1)
        if value is None and key == "ood_size" and data.ood not in ood.GENERATED:
            continue  # all of the set
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"data.{key}={value}: must be a whole number above 0")
    fingerprint.of(data)
    size = data.get("train_size")
    if size is not None and size < data.train_batch_size:
        raise UserError(
            f"data.train_size={size} is less than one batch of data.train_batch_size={data.train_batch_size} prompts"
        )
