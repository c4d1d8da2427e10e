"""Known true rewards and skewed noise: which estimator keeps the true sign and order best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import stats

from analysis.replay.estimators import Method

LEVELS = (0.0, 0.1, 0.2, 0.4, 0.8)
SIZES = (4, 8, 16, 32)
SPREAD = 0.1  # standard deviation of the true rewards of a prompt
SHARE = 0.25  # of the rollouts that noise hits


def draw(groups: int, size: int, level: float, skew: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return true and observed rewards, (groups, size) each.

    A prompt's true rewards are normal around 0.5 with standard deviation 0.1. A quarter of the rollouts get noise,
    exponential with mean `level`, downwards (`left`-skewed) or upwards (`right`).
    """
    true = rng.normal(0.5, SPREAD, (groups, size))
    noise = rng.exponential(1.0, true.shape) * (rng.random(true.shape) < SHARE) * level
    return true, true + (noise if skew == "right" else -noise)


def scores(true: np.ndarray, advantages: np.ndarray) -> dict[str, float]:
    """How well advantages (n, G) keep what the true rewards (n, G) say.

    sign: share of rollouts whose advantage has the sign of true reward - 0.5, what the prompt gives on average;
    negative: share of advantages below 0 (truly one half); order: Kendall's tau within a group, a mean over groups;
    pooled: Spearman's correlation of advantages with true rewards over all groups, so that the scale given to each
    group counts too.
    """
    wanted = np.sign(true - 0.5)
    ranks = _ranks(true)[..., :, None] - _ranks(true)[..., None, :]
    ours = advantages[..., :, None] - advantages[..., None, :]
    pairs = true.shape[1] * (true.shape[1] - 1)
    order = (np.sign(ranks) * np.sign(ours)).sum(axis=(1, 2)) / pairs
    return {
        "sign": float((np.sign(advantages) == wanted).mean()),
        "negative": float((advantages < 0).mean()),
        "order": float(order.mean()),
        "pooled": float(stats.spearmanr(true.ravel(), advantages.ravel()).statistic),
    }


def simulate(
    methods: Sequence[Method],
    groups: int = 1000,
    levels: Sequence[float] = LEVELS,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
) -> pd.DataFrame:
    """One row for each skew, noise level, group size and method, with the columns of `scores`."""
    rows = []
    for skew in ("left", "right"):
        for size in sizes:
            for level in levels:
                rng = np.random.default_rng([seed, size, int(1000 * level), skew == "left"])
                true, seen = draw(groups, size, level, skew, rng)
                rewards = torch.from_numpy(seen.ravel())
                labels = torch.arange(groups).repeat_interleave(size)
                for method in methods:
                    advantages = method.estimate(rewards, labels).numpy().reshape(true.shape)
                    rows.append(
                        {"skew": skew, "size": size, "noise": level, "algo": method.name, **scores(true, advantages)}
                    )
    return pd.DataFrame(rows)


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort(axis=1).argsort(axis=1)
