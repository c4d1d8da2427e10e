"""The key that names a run, and the settings that go into it.

The key is a short hash of the run's scientific content: every resolved setting that differs from verl's own
default, without those that only say where and how it runs. Two ways of writing the same run have the same key;
tau is in it only where the method reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gapo_lab.config.compose import verl_defaults
from gapo_lab.data import fingerprint
from gapo_lab.data.own import sets
from gapo_lab.models import smollm2
from gapo_lab.planning import user_files

# Where and how a run happens; beginnings of dotted keys. Everything else is science.
NOT_SCIENCE = (
    # our own words for it, and what they only name
    *("algo.name", "recipe.", "scale.", "backend.", "cluster.", "hydra.", "model.", "run_root", "study", "tau", "seed"),
    *("tracking", "on_finish", "search.", "metric", "claims", "keep", "check_disk"),
    # what the reward is called, and when it is given up; its own keys say which it is
    *("reward.name", "reward.timeout", "reward.sandbox.parallel"),
    # places
    *("actor_rollout_ref.model.path", "data.train_files", "data.val_files"),
    *("data.repos", "data.path", "data.ood_path", "mined"),
    # measures what is trained anyway, and draws nothing
    "data.expected",
    *("trainer.default_", "trainer.rollout_data_dir", "trainer.validation_data_dir"),
    # logging, keeping, resuming
    *("trainer.experiment_name", "trainer.project_name", "trainer.log", "trainer.max_actor_ckpt_to_keep"),
    *("trainer.resume", "trainer.save_freq", "actor_rollout_ref.rollout.prometheus."),
    *("trainer.esi_redundant_time", "trainer.del_local_ckpt_after_load", "global_profiler."),
    *("actor_rollout_ref.actor.checkpoint.", "actor_rollout_ref.rollout.disable_log_stats"),
    # machines, processes and how the work is cut over them
    *("ray_kwargs.", "transfer_queue.", "trainer.device", "trainer.n_gpus_per_node", "trainer.nnodes"),
    *("data.dataloader_num_workers", "reward.num_workers", "reward.reward_model.rollout."),
    *("actor_rollout_ref.rollout.name", "actor_rollout_ref.rollout.free_cache_engine"),
    *("actor_rollout_ref.rollout.agent.num_workers",),
    *("actor_rollout_ref.rollout.checkpoint_engine.", "actor_rollout_ref.rollout.gpu_memory_utilization"),
    *("actor_rollout_ref.rollout.tensor_model_parallel_size", "actor_rollout_ref.rollout.log_prob_"),
    *("actor_rollout_ref.rollout.enforce_eager", "actor_rollout_ref.rollout.max_num_"),
    *("actor_rollout_ref.rollout.enable_sleep_mode", "actor_rollout_ref.rollout.max_model_len"),
    *("actor_rollout_ref.actor.ppo_micro_batch_size", "actor_rollout_ref.actor.ppo_max_token_len_per_gpu"),
    *("actor_rollout_ref.actor.use_dynamic_bsz", "actor_rollout_ref.actor.strategy"),
    *("actor_rollout_ref.actor.use_torch_compile", "actor_rollout_ref.actor.ulysses_sequence_parallel_size"),
    *(
        f"actor_rollout_ref.ref.{key}"
        for key in ("strategy", "log_prob_", "ulysses_sequence_parallel_size", "use_torch_compile")
    ),
    *("actor_rollout_ref.model.enable_gradient_checkpointing", "actor_rollout_ref.model.use_remove_padding"),
    "actor_rollout_ref.model.use_fused_kernels",
    "actor_rollout_ref.model.override_config.attn_implementation",
    *(
        f"actor_rollout_ref.{role}.fsdp_config.{key}"
        for role in ("actor", "ref")
        for key in ("strategy", "param_offload", "optimizer_offload", "use_torch_compile", "reshard_after_forward")
    ),
    # how often the sampler looks; what it chooses is science
    *("trainer.v1.sampler.sampler_kwargs.poll_interval", "trainer.v1.sampler.sampler_kwargs.train_batch_size"),
)
# At this value a setting is as if it were not there: the keys of runs from before it was thought of stay.
NEUTRAL = {"noise": 0}
# The same for the size of the dev set, by data.
NEUTRAL_DEV = {"micro": 256, "git": 256, "lists": 8}
# At these keys what ships with us is how a backend works; only a user's own file or module is science.
OURS_UNNAMED = (
    "actor_rollout_ref.model.external_lib",
    "actor_rollout_ref.rollout.agent.agent_loop_config_path",
)
# Keys of user files whose content was in the key in another way before (``data.content``).
NAMED_OTHERWISE = ("data.template",)
# What only adds metrics has in keys the value it had first.
ONLY_METRICS = {"actor_rollout_ref.rollout.calculate_log_probs": False}
# The keys of these backends do not name them: they were made before there was another.
UNNAMED_BACKENDS = ("cpu", "vllm")
# Address of a module of ours -> the name it has in keys. A module that moves keeps the name it had first.
CANONICAL = {"pkg://gapo_lab.training.replay_buffer": "pkg://gapo_lab.training.replay"}
# A checkpoint's digest reads files up to WHOLE bytes, and BLOCKS blocks of BLOCK bytes of larger ones.
WHOLE, BLOCKS, BLOCK = 64 << 20, 64, 1 << 16
# Everyday words that verl also needs in its tree: said once, under the name a person uses.
SEEDS = (
    "data.seed",
    "actor_rollout_ref.actor.data_loader_seed",
    "actor_rollout_ref.actor.fsdp_config.seed",
    "actor_rollout_ref.rollout.seed",
)


def run_key(model: str, seed: int, science: Mapping[str, Any]) -> str:
    """Return ten hex digits over model, seed and science. Words such as the study or the backend are not in it."""
    content = {"model": model, "seed": seed, "science": science}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def science(written: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide what a run computes, by dotted key: those that differ from verl's own.

    A setting that still is verl's interpolation of another one says nothing new and is left out, as is one that is
    written differently but has verl's own value.
    """
    chosen = science_settings(written, resolved)
    # weights at hand are named by their content, others by where they are fetched
    chosen["checkpoint"] = checkpoint_digest(Path(resolved["model.path"])) or resolved["model.path"]
    if digest := fingerprint.of({k.removeprefix("data."): v for k, v in resolved.items() if k.startswith("data.")}):
        chosen["data.content"] = digest
    chosen |= {k: f"content {v}" for k, v in user_files.digests(resolved).items() if k not in NAMED_OTHERWISE}
    return {key: _plain(value) for key, value in sorted(chosen.items())}


def science_settings(written: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """`science` without what is named by its content: the weights and the data."""
    defaults = verl_defaults()
    chosen = {
        key: resolved[key]
        for key, value in written.items()
        if is_science(key)
        and not _is_own_place(key, resolved)
        and key in resolved
        and not (key in NEUTRAL and resolved[key] == NEUTRAL[key])
        and not (key == "data.dev_size" and resolved[key] == NEUTRAL_DEV.get(resolved["data.name"]))
        and not (key in OURS_UNNAMED and user_files.is_ours(resolved[key]))
        and (key not in defaults or defaults[key] not in (value, resolved[key]))
    }
    if (backend := resolved.get("backend.name", "cpu")) not in UNNAMED_BACKENDS:
        chosen["backend"] = backend
    return chosen | {key: value for key, value in ONLY_METRICS.items() if key in resolved}


def _is_own_place(key: str, resolved: Mapping[str, Any]) -> bool:
    """Whether a setting says where rows of one's own lie: data.content is what they are."""
    own = resolved.get("data.name") == "parquet" and key.startswith("data.")
    return own and key.split(".")[1] in sets.PLACES


def _plain(value: object) -> object:
    """A whole number however it was written (`tau=1` and `tau=1.0` are one run), a module wherever it is now."""
    if isinstance(value, str):
        return CANONICAL.get(value, value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def is_science(key: str) -> bool:
    """Whether the setting at this dotted key is part of what a run computes."""
    return not key.startswith(NOT_SCIENCE) and key not in SEEDS


def checkpoint_digest(folder: Path) -> str | None:
    """Twelve hex digits over the weights of a local checkpoint; None for a name to be fetched.

    SmolLM2 has the name of its package, also before its folder is made: the run is the same.
    """
    if folder == smollm2.folder():
        return smollm2.VERSION
    weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not weights:
        return None
    return _digest(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in weights))


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """A thousand cells share a checkpoint: it is read again only when its files changed.

    Of a file above 64 MB its size and blocks from all over it: a planner has two seconds, a 14B copy has 30 GB.
    """
    sha = hashlib.sha256()
    for path, _, size in files:
        with open(path, "rb") as weights:
            if size <= WHOLE:
                sha.update(weights.read())
                continue
            sha.update(str(size).encode())
            for place in range(BLOCKS):
                weights.seek((size - BLOCK) * place // (BLOCKS - 1))
                sha.update(weights.read(BLOCK))
    return sha.hexdigest()[:12]
