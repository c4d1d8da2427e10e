"""KRPO, a Kalman filter over a group's rewards (Wang et al. 2025b)."""

from __future__ import annotations

import torch
from torch import Tensor

from gapo_lab.methods.groups import per_group, sent_to
from gapo_lab.utils.value_rules import check_settings

SETTINGS = {
    "process_var": "[0, inf)",
    "measurement_var": "(0, inf)",
    "init_mean": "(-inf, inf)",
    "init_var": "(0, inf)",
    "eps": "[0, inf)",
}


def krpo(
    rewards: Tensor,
    groups: Tensor,
    process_var: float = 1e-5,
    measurement_var: float = 1e-2,
    init_mean: float = 0.0,
    init_var: float = 1.0,
    eps: float = 1e-8,
    *,
    order: Tensor | None = None,
) -> Tensor:
    """A_i = (r_i - x_i) / (sqrt(P_i) + eps), x_i and P_i the filter's state after it has seen r_1..r_i.

    rewards (B,) floating, groups (B,) integer labels -> advantages (B,). For each group the filter starts
    again from x = init_mean, P = init_var: P' = P + process_var, K = P' / (P' + measurement_var),
    x += K (r - x), P = (1 - K) P'. The order inside a group changes the result: it is `order` (B,) ascending,
    in training the rollout's number, or the order of the rows. The scale is far from 1 ([0 x 7, 1] gives 24.5 for
    the last); equal rewards do not give 0, since x starts at init_mean. Raises ValueError for a setting outside
    SETTINGS or rewards that are not finite.
    """
    check_settings(
        SETTINGS,
        process_var=process_var,
        measurement_var=measurement_var,
        init_mean=init_mean,
        init_var=init_var,
        eps=eps,
    )

    def formula(r: Tensor) -> Tensor:
        mean, var = torch.full_like(r[:, 0], init_mean), init_var
        columns = []
        for column in r.unbind(dim=1):
            prior = var + process_var
            gain = prior / (prior + measurement_var)
            mean = mean + gain * (column - mean)
            var = (1 - gain) * prior
            columns.append((column - mean) / (var**0.5 + eps))
        return torch.stack(columns, dim=1)

    if order is None:
        return per_group(rewards, groups, formula)
    host_ranked = order.cpu().argsort(stable=True)
    ranked = sent_to(rewards.device, host_ranked)
    advantages = torch.empty_like(rewards, requires_grad=False)
    advantages[ranked] = per_group(rewards[ranked], groups.cpu()[host_ranked], formula)
    return advantages
