"""What a search calls its trials: `lr=2.414e-4`, what is searched. What all trials share is said once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapo_lab.runs import naming
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.search_space import Axis, Space
from gapo_lab.utils.key_names import short


def of_trial(space: Space, params: Mapping[str, Any]) -> str:
    """Return the values of a trial: `algo=gapo_grpo tau=0.4213`. Axes that the trial does not have are left out."""
    keys = [axis.key for axis in space.axes]
    return " ".join(
        f"{short(axis.key, keys)}={_shown(axis, params[axis.key])}" for axis in space.axes if axis.key in params
    )


def _shown(axis: Axis, value: Any) -> str:
    text = axis.text(value)
    return text if axis.choices or axis.whole else naming.shown(float(text))


def in_common(conditions: Conditions) -> str:
    """Return the part of their runs' names that all trials share: `nano gapo_grpo data=micro_blocks`."""
    names = [run.name.split(" ") for run in conditions.at_all_ends() if run.spec]
    first, *others = names or [[]]
    return " ".join(part for part in first if all(part in other for other in others))
