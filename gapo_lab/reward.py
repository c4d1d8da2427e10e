"""The edit reward under its public name: `gapo_lab.reward.score`."""

from gapo_lab.rewards.edit_reward import score

__all__ = ["score"]
