"""Agent loops: what answers a row with the vLLM backends. A loop that no row names would never run.

Every prepared row names its loop (`agent_name`). verl takes its default loop only for rows that name none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.data.tasks.task import GREEDY_AGENT, SAMPLED_AGENT
from gapo_lab.planning.user_files import is_ours

DEFAULT, LOOPS = (f"actor_rollout_ref.rollout.agent.{key}" for key in ("default_agent_loop", "agent_loop_config_path"))
# Read by a loop that calls tools; ours answers with one turn.
TOOLS = tuple(
    f"actor_rollout_ref.rollout.multi_turn.{key}" for key in ("enable", "tool_config_path", "function_tool_path")
)
USER_LOOP = f"Give {LOOPS}=FILE.yaml with your loop as {SAMPLED_AGENT}"
GREEDY_LOOP = "gapo_lab.training.greedy_agent.GreedyAgentLoop"


def problems(config: ConfigView) -> Iterator[str]:
    """Yield a line for each setting about agent loops that the backend would not obey, or would fail with."""
    if config.backend.name == "cpu":
        for key in (DEFAULT, LOOPS, *TOOLS):
            if _is_given(config, key):
                yield f"{key}={config.select(key)}: not obeyed by backend=cpu, which has no agent loops. Take vllm_cpu"
    elif not config.select("data.custom_cls.path"):  # a class of the user's own may name other loops in its rows
        yield from _names(config)


def _names(config: ConfigView) -> Iterator[str]:
    """Check that the loops which the rows name are those that were asked for."""
    if _is_given(config, DEFAULT):
        yield f"{DEFAULT}={config.select(DEFAULT)}: never read, because each row names {SAMPLED_AGENT}. {USER_LOOP}"
    value = config.select(LOOPS)
    if is_ours(value):
        for key in TOOLS:
            if _is_given(config, key):
                yield f"{key}={config.select(key)}: our agent loop calls no tools. {USER_LOOP}"
        return
    named = _entries(value)
    if named is None:
        return  # told with the other files
    if value and SAMPLED_AGENT not in named:
        yield f"{LOOPS}={value}: has no loop called {SAMPLED_AGENT}, which each row names. Give yours that name"
    elif config.select("data.greedy") and GREEDY_AGENT not in named:
        yield (
            f"{LOOPS}={value}: has no loop called {GREEDY_AGENT}, which greedy rows name. Add one with that name, such "
            f"as _target_: {GREEDY_LOOP}, or give data.greedy=false"
        )


def _entries(value: Any) -> set[Any] | None:
    """Return the names of the loops in a file, without one none; None where it cannot be read."""
    if not value:
        return set()
    path = Path(str(value).removeprefix("file://")).expanduser()
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return {one.get("name") for one in tree if isinstance(one, dict)} if isinstance(tree, list) else set()


def _is_given(config: ConfigView, key: str) -> bool:
    return config.select(key) not in (None, False, verl_defaults().get(key))
