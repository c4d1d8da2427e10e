"""A method: GRPO with the centre halfway between the group's mean and its median."""

from torch import Tensor

from gapo_lab.methods.groups import per_group, sample_std, zero_if_equal

# What its settings may be; a plan checks them without running this file.
SETTINGS = {"share": "[0, 1]"}


def halfway(rewards: Tensor, groups: Tensor, share: float = 0.5) -> Tensor:
    """A_i = (r_i - centre) / (std + 1e-6). rewards (B,), groups (B,) -> advantages (B,)."""

    def formula(r: Tensor) -> Tensor:  # (n, G): the n groups that have G rollouts
        centre = (1 - share) * r.mean(dim=1, keepdim=True) + share * r.median(dim=1, keepdim=True).values
        return zero_if_equal((r - centre) / (sample_std(r) + 1e-6), r)

    return per_group(rewards, groups, formula)
