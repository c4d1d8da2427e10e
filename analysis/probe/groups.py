"""The recorded groups as facts: how many learn nothing, how often rewards tie, how they lean. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.results.group_rewards import KINDS, Rewards, kind
from gapo_lab.errors import UserError


@dataclass(frozen=True)
class Facts:
    """Of the prompts with two rollouts or more; shares are from 0 to 1.

    kinds: share of the prompts, by the names of `KINDS`. flat_best: share of the prompts all of whose rewards are the
    highest one of the record. tied: share of the rollouts, in prompts that are not flat, with the reward of another of
    their prompt. best: share of all rollouts that have the highest reward, which is `highest`. skewness: mean of the
    standardised third moment over prompts that are not flat.
    """

    prompts: int
    rollouts: int
    mean: float
    highest: float
    best: float
    kinds: dict[str, float]
    flat_best: float
    tied: float
    skewness: float

    @property
    def flat(self) -> float:
        return self.kinds["flat"]


def comparable(recorded: Rewards) -> Rewards:
    """Return the record without prompts that have one rollout: there is nothing to compare it with.

    Raises UserError where nothing is left.
    """
    enough = np.bincount(recorded.groups) > 1
    if not enough.any():
        raise UserError("no prompt has two rewards. Rewards of one prompt must share their uid")
    inside, number = enough[recorded.groups], np.cumsum(enough) - 1
    names = [name for name, there in zip(recorded.uids, enough, strict=True) if there]
    return Rewards(recorded.rewards[inside], number[recorded.groups[inside]], names)


def facts(recorded: Rewards) -> Facts:
    """Return what is true of the rewards before any method looks at them."""
    members = recorded.members()
    kinds = [kind(one) for one in members]
    apart = [one for one, name in zip(members, kinds, strict=True) if name != "flat"]
    highest = float(recorded.rewards.max())
    return Facts(
        prompts=len(members),
        rollouts=len(recorded.rewards),
        mean=float(recorded.rewards.mean()),
        highest=highest,
        best=float((recorded.rewards == highest).mean()),
        kinds={name: kinds.count(name) / len(kinds) for name in KINDS},
        flat_best=sum(bool((one == highest).all()) for one in members) / len(members),
        tied=_tied(apart),
        skewness=float(np.mean([_skewness(one) for one in apart])) if apart else float("nan"),
    )


def _tied(members: list[np.ndarray]) -> float:
    shared = 0
    for one in members:
        counts = np.unique(one, return_counts=True)[1]
        shared += int(counts[counts > 1].sum())
    return shared / sum(map(len, members)) if members else float("nan")


def _skewness(rewards: np.ndarray) -> float:
    centred = rewards - rewards.mean()
    return float(np.mean(centred**3) / np.mean(centred**2) ** 1.5)
