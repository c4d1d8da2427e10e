"""How well a method's gradient keeps the direction of the true one, on the recorded rewards. Pure.

The policy of a prompt gives one of the G recorded answers, each with probability 1/G. Its parameters are the logits
of these G probabilities. So the true gradient of the expected reward is known, (r_k - mean) / G for answer k. A
training step is simulated: G answers a prompt are drawn, with their rewards; each rollout i adds A_i (1[k_i = k] - 1/G)
to the gradient of answer k. A shift that is the same in each draw adds noise only: in expectation it is 0. GAPO's
shift depends on the drawn rewards, so it changes the expected gradient a little, too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gapo_lab.rewards.outliers import outlier

DRAWS = 50

# rewards (B,), groups (B,) -> advantages (B,)
Estimate = Callable[[np.ndarray, np.ndarray], np.ndarray]
# rewards as they are, (B,), and a generator -> as they are seen
Spoil = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def cosine(
    rewards: np.ndarray,
    groups: np.ndarray,
    estimate: Estimate,
    spoil: Spoil | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Return the cosine between the true gradient and a method's, over all prompts together, a mean over draws.

    rewards (B,): the record. groups (B,): its prompts, numbers from 0 on. spoil: the noise on drawn rewards. NaN where
    no prompt has two different rewards.
    """
    sizes = np.bincount(groups)
    order, starts = np.argsort(groups, kind="stable"), np.cumsum(sizes) - sizes
    r, g = rewards[order], groups[order]
    first, size = starts[g], sizes[g]
    true = (r - (np.bincount(g, r) / sizes)[g]) / size
    true[(np.maximum.reduceat(r, starts) == np.minimum.reduceat(r, starts))[g]] = 0.0  # what rounding has left
    if not true.any():
        return float("nan")
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = first + np.floor(rng.random(len(r)) * size).astype(int)
        a = estimate(spoil(r[drawn], rng) if spoil else r[drawn], g)
        step = np.bincount(drawn, a, minlength=len(r)) - (np.bincount(g, a) / sizes)[g]
        length = float(np.linalg.norm(step) * np.linalg.norm(true))
        found.append(float(step @ true) / length if length else 0.0)
    return float(np.mean(found))


def with_outliers(rewards: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Make that share of the rewards outliers, as `noise=` of a run does.

    An outlier is the farther end of the scale: of [0, 1] where it holds all rewards, else of theirs.
    """
    low, high = float(rewards.min()), float(rewards.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    span = high - low or 1.0
    far = np.array([low + span * outlier((r - low) / span) for r in rewards])
    return np.where(rng.random(len(rewards)) < share, far, rewards)
