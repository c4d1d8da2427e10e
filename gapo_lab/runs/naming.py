"""The names of runs and cells, from a run's spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cell_name(spec: Mapping[str, Any]) -> str:
    """``qwen_coder_7b gapo_dapo tau=0.5``; with noise on the rewards ``... noise=0.1``."""
    tau = f" tau={text_of(spec['tau'])}" if spec.get("tau") is not None else ""
    noise = f" noise={text_of(noise_of(spec))}" if noise_of(spec) else ""
    return f"{spec.get('model')} {spec.get('algo')}{tau}{noise}"


def noise_of(spec: Mapping[str, Any]) -> float:
    """The share of rewards that are outliers; 0 for a run from before there was noise."""
    return (spec.get("science") or {}).get("noise", 0)


def run_name(spec: Mapping[str, Any]) -> str:
    """``qwen_coder_7b gapo_dapo tau=0.5 seed=3``."""
    return f"{cell_name(spec)} seed={spec.get('seed')}"


def text_of(value: Any) -> str:
    """A value of a spec as a name shows it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
