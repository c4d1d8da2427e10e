"""Settings that name the user's own things, such as a model, a reward or a metric, and cannot be obeyed as given.

Each would be seen only after a queue and the loading of a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.planning import user_files
from gapo_lab.planning.not_science import SEEDS
from gapo_lab.planning.reward_rules import returned

# The key of a file, and that of what is taken from it.
NAMED_IN = {
    "reward.reward_manager.module.path": "reward.reward_manager.module.name",
    "trainer.v1.sampler.custom_sampler.path": "trainer.v1.sampler.custom_sampler.name",
    "data.custom_cls.path": "data.custom_cls.name",
}
# Their own rules look at these.
TOLD_ELSEWHERE = ("data.template", "reward.custom_reward_function.path")
# What a checkpoint needs for a run to go on from it.
CONTENTS = ("model", "optimizer", "extra")
# What opens the process group of workers without a GPU (conf/backend/base/without_gpu.yaml).
GLOO = "gapo_lab.training.cpu.gloo_group"
# verl's reward managers, and ours for noise on the rewards.
MANAGERS, NOISY = ("naive", "dapo", "gdpo", "remote", "rate_limited"), "noisy"
CHECKPOINT = "actor_rollout_ref.actor.checkpoint"


def files(config: ConfigView) -> Iterator[str]:
    """Check that the user's files are there, can be read, and have what is taken from them."""
    for key in user_files.KEYS:
        try:
            found = user_files.find(key, config.select(key)) if key not in TOLD_ELSEWHERE else None
            if found and found.path and key in NAMED_IN:
                yield from _defined(config, key, found)
        except UserError as error:
            yield str(error)


def _defined(config: ConfigView, key: str, file: user_files.UserFile) -> Iterator[str]:
    assert file.path
    name, there = config.select(NAMED_IN[key]), user_files.defined(file.path)
    if name not in there and "*" not in there:
        public = ", ".join(sorted(one for one in there if not one.startswith("_"))) or "nothing"
        yield f"{NAMED_IN[key]}={name}: {file.path.name} has no {name}; it has {public}"


def model(config: ConfigView) -> Iterator[str]:
    """verl's key for the model says nothing else than ours, by which runs are named and prompts measured."""
    key = "actor_rollout_ref.model.path"
    if config.select(key) != config.model.path:
        yield f"{key}={config.select(key)}: the model is {config.model.path}. Give model.path={config.select(key)}"


def seeds(config: ConfigView) -> Iterator[str]:
    """verl's keys for seeds say nothing else than ours, which is the only one in the run key."""
    for key in SEEDS:
        if (value := config.select(key)) != config.seed:
            yield f"{key}={value}: a run has one seed, which is seed={config.seed}. Leave it out, or change seed="


def libraries(config: ConfigView) -> Iterator[str]:
    """Check that a run without a GPU has the library that opens its process group."""
    key, value = "actor_rollout_ref.model.external_lib", config.select("actor_rollout_ref.model.external_lib")
    given = value if isinstance(value, list) else [value] if value else []
    if not config.backend.needs_gpu and GLOO not in given:
        whole = ",".join(map(str, (GLOO, *given)))
        yield f"{key}={value}: backend={config.backend.name} needs its own library, too. Write {key}=[{whole}]"


def metric(config: ConfigView) -> Iterator[str]:
    """Check that the metric that groups are filtered by is one that the reward gives."""
    key = "algorithm.filter_groups.metric"
    wanted, there = config.select(key), returned(config)
    if config.select("algorithm.filter_groups.enable") and there and wanted not in there:
        yield f"{key}={wanted}: the reward has no such number; there are {', '.join(there)}"


def manager(config: ConfigView) -> Iterator[str]:
    """Check that verl has the reward manager; a library of the user's own may register others."""
    node, name = "reward.reward_manager", config.select("reward.reward_manager.name")
    library = config.select("actor_rollout_ref.model.external_lib")
    is_sought = config.select(f"{node}.source") == "register" and library in (None, GLOO)
    if is_sought and name not in (*MANAGERS, NOISY):
        yield f"{node}.name={name}: verl 0.9 has no such reward manager; there are {', '.join(MANAGERS)}"


def checkpoints(config: ConfigView) -> Iterator[str]:
    """Check that a run can go on from its checkpoints."""
    for name in ("save_contents", "load_contents"):
        value = config.select(f"{CHECKPOINT}.{name}") or []
        if missing := [one for one in CONTENTS if one not in value]:
            yield f"{CHECKPOINT}.{name}={value}: a run could not go on without {', '.join(missing)}. Leave it out"
            return


def columns(config: ConfigView) -> Iterator[str]:
    """Our data have verl's usual columns."""
    if config.select("data.custom_cls.path") or config.data.name == "parquet":
        return
    key = "data.prompt_key"
    if config.select(key) != (usual := verl_defaults()[key]):
        yield f"{key}={config.select(key)}: data={config.data.name} has the column {usual}. Leave it out"


def greedy(config: ConfigView) -> Iterator[str]:
    """verl's v1 trainer does not read do_sample."""
    key = "actor_rollout_ref.rollout.val_kwargs"
    if config.select(f"{key}.do_sample") is False and config.select(f"{key}.temperature"):
        yield f"{key}.do_sample=false: verl 0.9 always samples. Give {key}.temperature=0, or data.greedy=true for both"


def fused_kernels(config: ConfigView) -> Iterator[str]:
    """With FSDP2 the fused output layer reads its weight, which is cut over the GPUs unless it is the embedding's."""
    wanted = config.select("actor_rollout_ref.model.use_fused_kernels")
    if not wanted or not (config.model.cpu or config.backend.needs_gpu):
        return
    there = Path(str(config.model.path)).expanduser() / "config.json"
    said = json.loads(there.read_text(encoding="utf-8")) if there.is_file() else {}
    if not said.get("tie_word_embeddings", config.select("model.tied", True)):
        yield (
            "actor_rollout_ref.model.use_fused_kernels=true: works with models whose output layer is their embedding, "
            f"and that of {config.model.path} is its own. Set it to false"
        )


USER_RULES = (model, seeds, files, libraries, metric, manager, checkpoints, columns, greedy, fused_kernels)
