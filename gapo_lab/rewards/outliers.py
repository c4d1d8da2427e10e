"""Noise on the reward as an axis (`noise=0.1`): that share of training rollouts gets an outlier in place of its reward.

The paper's claim is robustness to such outliers ("unpredictable outliers appear anywhere within the range", section 1).
Which rollouts, is decided by a hash of what they are, so it does not depend on who generates them or in what order; and
those of noise=0.1 are among those of noise=0.2. Pure; standard library only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

# The parts of the reward of Eq. 5 (gapo_lab.reward.score); an outlier is one in all of them.
PARTS = ("score", "em", "similarity")


def is_replaced(share: float, seed: int, step: int, prompt: str, rollout: int) -> bool:
    """Whether this rollout's reward is replaced: true for `share` (0 to 1) of all rollouts.

    seed: the run's. step: the training step. prompt: the task's id. rollout: its number among those of the prompt.
    """
    digest = hashlib.sha256(f"noise {seed} {step} {rollout} {prompt}".encode()).digest()
    return int.from_bytes(digest[:7], "big") < share * 2**56


def outlier(reward: float) -> float:
    """Return the end of [0, 1] that is farther from the reward; 1 where both are as far."""
    return 1.0 if reward <= 0.5 else 0.0


def noisy(found: Mapping[str, Any], replaced: bool) -> dict[str, Any]:
    """Return what the reward function returned, with the outlier in place of its parts where it is `replaced`.

    What it was stays as `true_score`, `true_em`, `true_similarity`; `noisy` is 1.0 or 0.0.
    """
    there = [name for name in PARTS if name in found]
    true = {f"true_{name}": found[name] for name in there}
    instead = dict.fromkeys(there, outlier(float(found["score"]))) if replaced else {}
    return {**found, **instead, **true, "noisy": float(replaced)}
