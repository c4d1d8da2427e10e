"""Known true rewards of Eq. 5 and skewed noise: which estimator keeps the true gradient and order best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from analysis.replay import gradient
from analysis.replay.estimators import Method

LEVELS = (0.0, 0.1, 0.2, 0.4, 0.8)
SIZES = (4, 8, 16, 32)
MOST_EXACT = 0.8  # the share of exact answers is uniform from 0 to this over the prompts
SIMILAR = (0.2, 0.9)  # and so is the mean similarity of the other answers, from the one to the other
SPREAD = 0.1  # standard deviation of the similarity of a prompt's answers
DRAWS = 4  # simulated steps; each has all groups
SHARE = 0.25  # of the rollouts that noise hits


def draw(groups: int, size: int, level: float, skew: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return true and observed rewards, (groups, size) each.

    True rewards are Eq. 5 of a model that has begun to learn: exact answers get 1, the others half of their similarity.
    A quarter of the rollouts get noise, exponential with mean `level`, downwards (`left`-skewed) or upwards (`right`).
    """
    exact = rng.random((groups, size)) < rng.uniform(0, MOST_EXACT, (groups, 1))
    similar = rng.normal(rng.uniform(*SIMILAR, (groups, 1)), SPREAD, (groups, size)).clip(0, 1)
    true = np.where(exact, 1.0, similar / 2)
    return true, _noisy(true, rng, level, skew)


def _noisy(true: np.ndarray, rng: np.random.Generator, level: float, skew: str) -> np.ndarray:
    noise = rng.exponential(1.0, true.shape) * (rng.random(true.shape) < SHARE) * level
    return true + (noise if skew == "right" else -noise)


def scores(true: np.ndarray, advantages: np.ndarray) -> dict[str, float]:
    """How well advantages (n, G) keep what the true rewards (n, G) say.

    negative: share of advantages below 0; order: Kendall's tau within a group over pairs whose true rewards differ, a
    mean over groups; pooled: Spearman's correlation of advantages with true rewards over all groups, so that the scale
    given to each group counts too.
    """
    wanted = np.sign(true[..., :, None] - true[..., None, :])
    ours = np.sign(advantages[..., :, None] - advantages[..., None, :])
    pairs = np.abs(wanted).sum(axis=(1, 2))
    differ = pairs > 0
    return {
        "negative": float((advantages < 0).mean()),
        "order": float(((wanted * ours).sum(axis=(1, 2))[differ] / pairs[differ]).mean()),
        "pooled": float(stats.spearmanr(true.ravel(), advantages.ravel()).statistic),
    }


def simulate(
    methods: Sequence[Method],
    groups: int = 1000,
    levels: Sequence[float] = LEVELS,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
) -> pd.DataFrame:
    """One row for each skew, noise level, group size and method: the columns of `scores`, and cosine.

    cosine: between the method's gradient and the true one (`gradient.cosine`), where the noise is on the drawn rewards.
    """
    rows = []
    for skew in ("left", "right"):
        for size in sizes:
            for level in levels:
                rng = np.random.default_rng([seed, size, int(1000 * level), skew == "left"])
                true, seen = draw(groups, size, level, skew, rng)
                labels = np.repeat(np.arange(groups), size)
                for method in methods:
                    advantages = method.on_arrays(seen.ravel(), labels).reshape(true.shape)
                    spoil = partial(_noisy, level=level, skew=skew)
                    kept = gradient.cosine(true.ravel(), labels, method.on_arrays, spoil, DRAWS, seed)
                    about = {"skew": skew, "size": size, "noise": level, "algo": method.name}
                    rows.append({**about, "cosine": kept, **scores(true, advantages)})
    return pd.DataFrame(rows)
