"""Which case an answer of a validation belongs to: its set, how it was decoded, its task.

verl writes an answer's line from the texts and what the reward function returned; which task it was it leaves out. So
the reward functions return it as texts, which verl writes down and takes no mean of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

GREEDY = "_greedy"  # ends the data source of rows that are decoded greedily
TRAIN = "train"


def labels(data_source: str, extra_info: Any) -> dict[str, str]:
    """`set`, `greedy` (yes or no) and `task` of a validation's answer; nothing of a training rollout."""
    if data_source == TRAIN:
        return {}
    about = extra_info if isinstance(extra_info, Mapping) else {}
    task = about.get("id") or about.get("index", "")
    greedy = data_source.endswith(GREEDY)
    return {"set": data_source.removesuffix(GREEDY), "greedy": "yes" if greedy else "no", "task": str(task)}


def labelled(reward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a reward function (sync or async) that also returns `labels`; what it says itself stays."""

    @wraps(reward)
    def told(data_source: str, *args, **words) -> dict:
        return {**labels(data_source, _extra(args, words)), **reward(data_source, *args, **words)}

    @wraps(reward)
    async def told_later(data_source: str, *args, **words) -> dict:
        return {**labels(data_source, _extra(args, words)), **await reward(data_source, *args, **words)}

    return told_later if inspect.iscoroutinefunction(reward) else told


def _extra(args: tuple, words: Mapping[str, Any]) -> Any:
    """`extra_info`, the fourth of verl's words."""
    return words.get("extra_info", args[2] if len(args) > 2 else None)
