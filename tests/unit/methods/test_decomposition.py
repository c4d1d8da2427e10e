"""docs/methods.md, Scale and shift: in a group A = f A_grpo + b, and what f and b are for each method."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab import methods
from gapo_lab.methods.gapo import densest_window, window_size
from gapo_lab.methods.huber import location

EPS = 1e-6


def batch(seed: int, size: int, ties: bool) -> torch.Tensor:
    """Rewards of six groups, (6, size): of a few values, with ties, or of any; never all the same."""
    draw = torch.Generator().manual_seed(seed)
    values = torch.rand(6, size, generator=draw, dtype=torch.float64)
    values = (values * 4).round() / 4 if ties else values
    values[:, 0], values[:, 1] = 0.03, 0.97
    return values


def std(r):
    return r.std(dim=1, keepdim=True)


def mean(r):
    return r.mean(dim=1, keepdim=True)


def sorted_median(r):
    return r.sort(dim=1).values[:, [(r.shape[1] - 1) // 2, r.shape[1] // 2]].mean(dim=1, keepdim=True)


def q_of(r, tau=0.5):
    return sorted_median(densest_window(r, window_size(r.shape[1], tau)))


def s_of(r, centre):
    return (r - centre).square().mean(dim=1, keepdim=True).sqrt()


def linear(r, quantile=0.4):
    return r.quantile(quantile, dim=1, keepdim=True)


def quarter(r):
    cut = r.shape[1] // 4
    return mean(r.sort(dim=1).values[:, cut : r.shape[1] - cut])


def window_mean(r):
    return mean(densest_window(r, window_size(r.shape[1], 0.5)))


# name: (method, f, b), each from rewards (n, G) to (n, 1)
SHIFTED = {
    "grpo": (methods.grpo, lambda r: 1, lambda r: 0),
    "dr_grpo": (lambda r, g: methods.grpo(r, g, norm_by_std=False), lambda r: std(r) + EPS, lambda r: 0),
    "gapo": (
        methods.gapo,
        lambda r: (std(r) + EPS) / s_of(r, q_of(r)),
        lambda r: (mean(r) - q_of(r)) / s_of(r, q_of(r)),
    ),
    "gapo median std": (
        lambda r, g: methods.gapo(r, g, scale="std"),
        lambda r: 1,
        lambda r: (mean(r) - q_of(r)) / (std(r) + EPS),
    ),
    "gapo mean div": (
        lambda r, g: methods.gapo(r, g, center="mean"),
        lambda r: (std(r) + EPS) / s_of(r, window_mean(r)),
        lambda r: (mean(r) - window_mean(r)) / s_of(r, window_mean(r)),
    ),
    "gapo_centred": (methods.gapo_centred, lambda r: (std(r) + EPS) / s_of(r, q_of(r)), lambda r: 0),
    "grpo_shifted": (methods.grpo_shifted, lambda r: 1, lambda r: (mean(r) - q_of(r)) / s_of(r, q_of(r))),
    "qae": (methods.qae, lambda r: 1, lambda r: (mean(r) - linear(r)) / (std(r) + EPS)),
    "median": (methods.median, lambda r: 1, lambda r: (mean(r) - sorted_median(r)) / (std(r) + EPS)),
    "trimmed_mean": (methods.trimmed_mean, lambda r: 1, lambda r: (mean(r) - quarter(r)) / (std(r) + EPS)),
    "huber": (methods.huber, lambda r: 1, lambda r: (mean(r) - location(r, 1.345)) / (std(r) + EPS)),
}


def advantages(method, rewards):
    groups = torch.arange(len(rewards)).repeat_interleave(rewards.shape[1])
    return method(rewards.flatten(), groups).reshape(rewards.shape)


@pytest.mark.parametrize("name", SHIFTED)
@examples(25)
@given(seed=st.integers(0, 999), size=st.sampled_from([4, 5, 8, 16]), ties=st.booleans())
def test_a_method_is_grpo_scaled_and_shifted(name, seed, size, ties):
    method, f, b = SHIFTED[name]
    rewards = batch(seed, size, ties)
    wanted = f(rewards) * advantages(methods.grpo, rewards) + b(rewards)
    torch.testing.assert_close(advantages(method, rewards), wanted, rtol=1e-9, atol=1e-9)


@examples(25)
@given(seed=st.integers(0, 999), size=st.sampled_from([4, 8]), ties=st.booleans())
def test_gapos_mean_square_is_one_and_b_says_how_much_of_it_is_shift(seed, size, ties):
    """mean A^2 = b^2 + f^2 mean A_grpo^2 = 1: the share of the shift is b^2; and f^2 = (1 - b^2) G / (G - 1)."""
    rewards = batch(seed, size, ties)
    found, shift = advantages(methods.gapo, rewards), SHIFTED["gapo"][2](rewards)
    torch.testing.assert_close(found.mean(dim=1, keepdim=True), shift)
    scale = SHIFTED["gapo"][1](rewards)
    torch.testing.assert_close(scale.square(), (1 - shift.square()) * size / (size - 1), rtol=1e-4, atol=0)


@examples(25)
@given(seed=st.integers(0, 999), size=st.sampled_from([4, 8]), ties=st.booleans())
def test_shrinkage_is_affine_in_a_group_and_its_shift_goes_to_the_batchs_mean(seed, size, ties):
    """A = f A_grpo + b with b = w N/(N-1) (mean - mean of the batch), w the same for all groups."""
    rewards = batch(seed, size, ties)
    found, plain = advantages(methods.shrinkage, rewards), advantages(methods.grpo, rewards)
    shift = mean(found)
    slope = (found[:, [1]] - found[:, [0]]) / (plain[:, [1]] - plain[:, [0]])
    torch.testing.assert_close(found, slope * plain + shift)
    count = rewards.numel()
    apart = count / (count - 1) * (mean(rewards) - rewards.mean())
    weight = shift[apart.abs().argmax()] / apart[apart.abs().argmax()]
    assert -1e-9 <= weight.item() <= 1 + 1e-9
    torch.testing.assert_close(shift, weight * apart)


@pytest.mark.parametrize("method", [methods.krpo, methods.rank])
def test_krpo_and_rank_are_not_of_this_form(method):
    """No f and b fit all rollouts: three rewards in one group already disagree."""
    rewards = torch.tensor([[0.0, 0.1, 0.9, 1.0]], dtype=torch.float64)
    found, plain = advantages(method, rewards)[0], advantages(methods.grpo, rewards)[0]
    slopes = (found[1:] - found[:-1]) / (plain[1:] - plain[:-1])
    assert slopes.max() - slopes.min() > 0.1
