"""KRPO, a Kalman filter over a group's rewards (Wang et al. 2025b)."""

from __future__ import annotations

import torch
from torch import Tensor

from gapo_lab.methods.groups import per_group


def krpo(
    rewards: Tensor,
    groups: Tensor,
    process_var: float = 1e-5,
    measurement_var: float = 1e-2,
    init_mean: float = 0.0,
    init_var: float = 1.0,
    eps: float = 1e-8,
) -> Tensor:
    """A_i = (r_i - x_i) / (sqrt(P_i) + eps), x_i and P_i the filter's state after it has seen r_1..r_i.

    rewards (B,) floating, groups (B,) integer labels -> advantages (B,). For each group the filter starts
    again from x = init_mean, P = init_var and takes the rewards in row order: P' = P + process_var,
    K = P' / (P' + measurement_var), x += K (r - x), P = (1 - K) P'. The order of rows inside a group
    changes the result, and the scale is far from 1 ([0 x 7, 1] gives 24.5 for the last); equal rewards do
    not give 0, since x starts at init_mean. Raises ValueError for a variance that is not above 0
    (process_var and eps may be 0) or rewards that are not finite.
    """
    for name, value in (("measurement_var", measurement_var), ("init_var", init_var)):
        if not value > 0:
            raise ValueError(f"{name}={value!r}: must be above 0")
    for name, value in (("process_var", process_var), ("eps", eps)):
        if not value >= 0:
            raise ValueError(f"{name}={value!r}: must be 0 or above")

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

    return per_group(rewards, groups, formula)
