"""What each method makes of recorded rewards: signs, magnitude, and how far one outlier moves the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch

from analysis.results.group_rewards import KINDS, Rewards, kind
from gapo_lab import method_registry, methods
from gapo_lab.config.compose import compose_run
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.planning import method_rules
from gapo_lab.utils.python_source import load

Estimator = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DEFAULT = ("grpo", "gapo_grpo", "gapo_grpo_median_std", "gapo_grpo_mean_div", "qae", "krpo")
# their advantages are computed from more than rewards and groups
NOT_REPLAYED = ("gdpo", "group_aware", "opo", "reinforce_pp")


@dataclass(frozen=True)
class Method:
    """A word of `algo=` and its estimator: rewards (B,), groups (B,) -> advantages (B,)."""

    name: str
    estimate: Estimator

    def on_arrays(self, rewards: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return the advantages (B,) of rewards (B,) and groups (B,)."""
        return self.estimate(torch.tensor(rewards), torch.tensor(groups)).numpy()


def methods_of(names: Sequence[str], words: Sequence[str] = ()) -> list[Method]:
    """Return the estimators that runs of `algo=name` use, with the settings that `words` ask for.

    Raises UserError for a word that does not exist or a method that needs more than rewards.
    """
    found = []
    for name in names:
        config = compose_run([f"algo={name}", *words])
        method_rules.check_method(ConfigView.of(config)) if name not in NOT_REPLAYED else None
        estimator = config.algorithm.adv_estimator
        ours = method_registry.estimators().get(estimator)
        path = config.algo.get("path")
        theirs = method_registry.user_methods(path, estimator).get(estimator)
        if name in NOT_REPLAYED:
            raise UserError(f"algo={name}: its advantages need more than rewards. Replay can show {', '.join(DEFAULT)}")
        if theirs and theirs.asks:
            raise UserError(f"algo={name}: {estimator}() asks for {', '.join(theirs.asks)}. Replay has only rewards")
        if theirs:
            settings = dict(config.algorithm.get(estimator) or {})
            found.append(Method(config.algo.name, partial(load(path, estimator), **settings)))
        elif ours:
            settings = dict(config.algorithm.get(estimator) or {})
            found.append(Method(name, partial(methods.ESTIMATORS[ours.name], **settings)))
        else:
            found.append(Method(name, partial(_verls, estimator, config.algorithm)))
    return found


def _verls(estimator: str, config, rewards: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    column = rewards.unsqueeze(1)
    advantages, _ = get_adv_estimator_fn(estimator)(
        token_level_rewards=column.clone(),
        response_mask=torch.ones_like(column),
        index=groups.numpy(),
        config=config,
    )
    return advantages.squeeze(1)


def table(recorded: Rewards, chosen: Sequence[Method]) -> pd.DataFrame:
    """One row for each method and kind of group, and one for all groups together.

    Columns: groups, rollouts; positive, negative, zero: shares of the advantages; gap: mean - median of the rewards, a
    mean over groups; magnitude: mean |A|; largest: max |A|; best_zero: share of a group's best rollouts (all that have
    its largest reward; not in flat groups) that get exactly 0; low_outlier, high_outlier: mean |change of A| of the
    rollouts of a group when one more rollout gets the lowest (highest) reward of all, in units of the method's
    root mean square.
    """
    rewards, groups = torch.tensor(recorded.rewards), torch.tensor(recorded.groups)
    members = recorded.members()
    kinds = np.array([kind(one) for one in members])
    best = best_of_groups(recorded)
    gaps = np.array([one.mean() - np.median(one) for one in members])
    rows = []
    for method in chosen:
        advantages = method.estimate(rewards, groups).numpy()
        rms = float(np.sqrt(np.mean(advantages**2))) or 1.0
        moved = {
            "low_outlier": outlier_shift(method, rewards, groups, float(rewards.min())) / rms,
            "high_outlier": outlier_shift(method, rewards, groups, float(rewards.max())) / rms,
        }
        for name in (*KINDS, "all"):
            which = np.ones(len(members), bool) if name == "all" else kinds == name
            inside = which[recorded.groups]
            if not which.any():
                continue
            a, of_best = advantages[inside], advantages[inside & best]
            rows.append(
                {
                    "algo": method.name,
                    "kind": name,
                    "groups": int(which.sum()),
                    "rollouts": int(inside.sum()),
                    "positive": float((a > 0).mean()),
                    "negative": float((a < 0).mean()),
                    "zero": float((a == 0).mean()),
                    "gap": float(gaps[which].mean()),
                    "magnitude": float(np.abs(a).mean()),
                    "largest": float(np.abs(a).max()),
                    "best_zero": float((of_best == 0).mean()) if len(of_best) else None,
                    **{key: float(shift[inside].mean()) for key, shift in moved.items()},
                }
            )
    return pd.DataFrame(rows)


def best_of_groups(recorded: Rewards) -> np.ndarray:
    """Return (B,) whether a rollout has the largest reward of its group, where the group's rewards differ."""
    edge = np.array([[one.min(), one.max()] for one in recorded.members()])[recorded.groups]
    return (recorded.rewards == edge[:, 1]) & (edge[:, 0] < edge[:, 1])


def by_group(recorded: Rewards, chosen: Sequence[Method]) -> pd.DataFrame:
    """One row for each method and group: uid, kind, gap (mean - median) and the share of negative advantages."""
    rewards, groups = torch.tensor(recorded.rewards), torch.tensor(recorded.groups)
    members = recorded.members()
    sizes = np.bincount(recorded.groups)
    rows = []
    for method in chosen:
        advantages = method.estimate(rewards, groups).numpy()
        negative = np.bincount(recorded.groups, weights=advantages < 0) / sizes
        positive = np.bincount(recorded.groups, weights=advantages > 0) / sizes
        for uid, one, down, up in zip(recorded.uids, members, negative, positive, strict=True):
            rows.append(
                {
                    "algo": method.name,
                    "uid": uid,
                    "kind": kind(one),
                    "size": len(one),
                    "gap": one.mean() - np.median(one),
                    "negative": down,
                    "positive": up,
                }
            )
    return pd.DataFrame(rows)


def outlier_shift(method: Method, rewards: torch.Tensor, groups: torch.Tensor, outlier: float) -> np.ndarray:
    """|change of A| of each rollout (B,) when its group gets one more rollout with the reward `outlier`.

    The rollout comes first in its group, which only matters to a method that reads a group in order.
    """
    number = int(groups.max()) + 1
    more = torch.cat([torch.full((number,), outlier, dtype=rewards.dtype), rewards])
    theirs = torch.cat([torch.arange(number), groups])
    before, after = method.estimate(rewards, groups), method.estimate(more, theirs)[number:]
    return (after - before).abs().numpy()
