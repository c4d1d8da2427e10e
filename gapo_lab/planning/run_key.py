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

from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.data import content_digest
from gapo_lab.data.user_rows import sets
from gapo_lab.models.model_digest import checkpoint_digest, reading_digest
from gapo_lab.planning import user_files
from gapo_lab.planning.not_science import NOT_SCIENCE, SEEDS

# At this value a setting is as if it were not there: the keys of runs from before it was thought of stay.
NEUTRAL = {"noise": 0, "lora": 0}
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
# Where rows of one's own lie (data=parquet): data.content is what they are.
USER_PLACES = tuple(f"data.{name}." for name in sets.PLACES)


def run_key(model: str, seed: int, science: Mapping[str, Any]) -> str:
    """Return ten hex digits over model, seed and science. Words such as the study or the backend are not in it."""
    content = {"model": model, "seed": seed, "science": science}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def science(written: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what a run computes, by dotted key: those that differ from verl's own.

    A setting that still is verl's interpolation of another one says nothing new and is left out, as is one that is
    written differently but has verl's own value.
    """
    chosen = science_settings(written, resolved)
    # weights at hand are named by their content, others by where they are fetched
    chosen["checkpoint"] = checkpoint_digest(Path(resolved["model.path"])) or resolved["model.path"]
    if read := reading_digest(Path(resolved["model.path"])):
        chosen["checkpoint.reading"] = read
    if digest := content_digest.of({k.removeprefix("data."): v for k, v in resolved.items() if k.startswith("data.")}):
        chosen["data.content"] = digest
    chosen |= {k: f"content {v}" for k, v in user_files.digests(resolved).items() if k not in NAMED_OTHERWISE}
    return {key: _plain(value) for key, value in sorted(chosen.items())}


def science_settings(written: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """`science` without what is named by its content: the weights and the data."""
    defaults = verl_defaults()
    places = USER_PLACES if resolved.get("data.name") == "parquet" else ()
    chosen = {
        key: resolved[key]
        for key, value in written.items()
        # first what leaves most of them out: this is done for every cell of a sweep
        if key in resolved
        and (key not in defaults or defaults[key] not in (value, resolved[key]))
        and is_science(key)
        and not f"{key}.".startswith(places)
        and not (key in NEUTRAL and resolved[key] == NEUTRAL[key])
        and not (key == "data.dev_size" and resolved[key] == NEUTRAL_DEV.get(resolved["data.name"]))
        and not (key in OURS_UNNAMED and user_files.is_ours(resolved[key]))
    }
    if (backend := resolved.get("backend.name", "cpu")) not in UNNAMED_BACKENDS:
        chosen["backend"] = backend
    return chosen | {key: value for key, value in ONLY_METRICS.items() if key in resolved}


def _plain(value: object) -> object:
    """Return a whole number however it was written (`tau=1` and `tau=1.0` are one run), a module wherever it is now."""
    if isinstance(value, str):
        return CANONICAL.get(value, value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def is_science(key: str) -> bool:
    """Whether the setting at this dotted key is part of what a run computes."""
    return not key.startswith(tuple(NOT_SCIENCE)) and key not in SEEDS
