"""Keys that are added with a plus below a node of verl's, and that nobody reads: misspelt, or of another verl."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from gapo_lab.config import moved_keys, sweep_grid
from gapo_lab.config.known_keys import known_keys, verl_defaults
from gapo_lab.config.search_path import verl_config_folder
from gapo_lab.utils.key_names import did_you_mean

# The user's own Python, which may read whatever it likes of the configuration.
USER_CODE = (
    "data.custom_cls.path",
    "actor_rollout_ref.model.external_lib",
    "actor_rollout_ref.rollout.agent.agent_loop_config_path",
    "actor_rollout_ref.rollout.agent.default_agent_loop",
    "trainer.v1.sampler.custom_sampler.path",
    "reward.reward_manager.module.path",
)


def problems(words: Sequence[str]) -> Iterator[str]:
    """Yield a line for each `+KEY=VALUE` below a node of verl's whose name stands nowhere in verl's source."""
    keys = {sweep_grid.key(word) for word in words}
    if not keys.isdisjoint(USER_CODE):
        return
    for key in (sweep_grid.key(word) for word in words if word.startswith("+")):
        node, _, name = key.rpartition(".")
        if moved_keys.new_name(key):
            continue  # told with the keys that are not obeyed
        if node in _nodes() and key not in known_keys() and re.fullmatch(r"\w+", name) and not _is_read(name):
            near = did_you_mean(key, known_keys())
            yield f"+{key}: verl reads no such key{f' ({near})' if near else ''}. Leave it out"


@cache
def _nodes() -> frozenset[str]:
    """verl's nodes that have keys; one without any takes whatever it is given."""
    return frozenset(key.rpartition(".")[0] for key, value in verl_defaults().items() if value != {})


@cache
def _is_read(name: str) -> bool:
    """Whether verl's source has this word."""
    word = re.compile(rb"\b" + name.encode() + rb"\b")
    return any(word.search(path.read_bytes()) for path in verl_config_folder().parents[1].rglob("*.py"))
