"""Each method on the recorded groups in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from analysis.probe.decomposition import parts
from analysis.replay import gradient
from analysis.replay.estimators import Method, best_of_groups
from analysis.results.group_rewards import Rewards
from gapo_lab import methods


@dataclass(frozen=True)
class Found:
    """A method on a record.

    scale: median f over the groups; low, high: its 10% and 90% points. shift: mean b; shift_size: mean |b|. of_shift,
    of_rest: shares of the sum of A^2. best_zero: share of the best rollouts of a group whose advantage is exactly 0,
    NaN where all groups are flat. cosine, noisy: with the true gradient, without and with outliers.
    """

    name: str
    scale: float
    low: float
    high: float
    shift: float
    shift_size: float
    of_shift: float
    of_rest: float
    best_zero: float
    cosine: float
    noisy: float


def look(recorded: Rewards, chosen: Sequence[Method], noise: float, seed: int = 0) -> list[Found]:
    """Return each method's numbers, in the order given. noise: the share of outliers of `Found.noisy`."""
    rewards, groups = torch.tensor(recorded.rewards), torch.tensor(recorded.groups)
    grpo, best = methods.ESTIMATORS["grpo"](rewards, groups).numpy(), best_of_groups(recorded)
    return [_found(recorded, one, grpo, best, noise, seed) for one in chosen]


def _found(recorded: Rewards, method: Method, grpo: np.ndarray, best: np.ndarray, noise: float, seed: int) -> Found:
    advantages = method.on_arrays(recorded.rewards, recorded.groups)
    apart = parts(recorded.groups, grpo, advantages)
    scales = apart.scale[~np.isnan(apart.scale)]
    low, middle, high = np.quantile(scales, (0.1, 0.5, 0.9)) if len(scales) else (np.nan,) * 3
    clean, noisy = (
        gradient.cosine(recorded.rewards, recorded.groups, method.on_arrays, spoil, seed=seed)
        for spoil in (None, partial(gradient.with_outliers, share=noise))
    )
    return Found(
        name=method.name,
        scale=float(middle),
        low=float(low),
        high=float(high),
        shift=float(apart.shift.mean()),
        shift_size=float(np.abs(apart.shift).mean()),
        of_shift=apart.of_shift,
        of_rest=apart.of_rest,
        best_zero=float((advantages[best] == 0).mean()) if best.any() else float("nan"),
        cosine=clean,
        noisy=noisy,
    )
