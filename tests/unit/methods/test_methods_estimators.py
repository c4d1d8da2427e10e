"""Each estimator against a slow reference written from its definition, and what must not change it."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab.methods import gapo, grpo, krpo, qae, window_size

# ------------------------------------------------------------------ references: one group, plain Python


def ref_std(r):
    return statistics.stdev(r) if len(r) > 1 else 1.0


def ref_grpo(r, norm_by_std=True):
    mean = statistics.fmean(r) if len(r) > 1 else 0.0
    return [(x - mean) / (ref_std(r) + 1e-6 if norm_by_std else 1.0) for x in r]


def ref_densest(r, k):
    """The paper's Algorithm 1, line by line."""
    ordered = sorted(r)
    min_length, best_start = math.inf, 0
    for start in range(len(r) - k + 1):
        length = ordered[start + k - 1] - ordered[start]
        if length < min_length:
            min_length, best_start = length, start
    return ordered[best_start : best_start + k]


def ref_gapo(r, tau=0.5, center="median", scale="div", ddof=0):
    if min(r) == max(r):
        return [0.0] * len(r)
    window = ref_densest(r, max(1, math.ceil(len(r) * tau - 1e-9)))
    q = statistics.median(window) if center == "median" else statistics.fmean(window)
    if scale == "std":
        denominator = ref_std(r) + 1e-6
    else:
        denominator = math.hypot(*(x - q for x in r)) / math.sqrt(len(r) - ddof) + (1e-6 if ddof else 0)
    return [(x - q) / denominator for x in r]


def ref_krpo(r):
    x, p, out = 0.0, 1.0, []
    for reward in r:
        prior = p + 1e-5
        gain = prior / (prior + 1e-2)
        x = x + gain * (reward - x)
        p = (1 - gain) * prior
        out.append((reward - x) / (math.sqrt(p) + 1e-8))
    return out


def ref_qae(r, quantile=0.4, interpolation="linear"):
    ordered = sorted(r)
    if interpolation == "linear":
        b = torch.quantile(torch.tensor(ordered, dtype=torch.float64), quantile).item()
    else:
        b = next(x for x in ordered if sum(y <= x for y in r) / len(r) >= quantile - 1e-9)
    return [(x - b) / (ref_std(r) + 1e-6) for x in r]


CASES = {
    "grpo": (grpo, ref_grpo),
    "grpo no std": (partial(grpo, norm_by_std=False), partial(ref_grpo, norm_by_std=False)),
    "krpo": (krpo, ref_krpo),
    "qae": (qae, ref_qae),
    "qae 0.6": (partial(qae, quantile=0.6), partial(ref_qae, quantile=0.6)),
    "qae paper": tuple(partial(f, interpolation="inverted_cdf") for f in (qae, ref_qae)),
    **{
        f"gapo {tau} {center} {scale} {ddof}": tuple(
            partial(f, tau=tau, center=center, scale=scale, ddof=ddof) for f in (gapo, ref_gapo)
        )
        for tau, center, scale, ddof in [
            (0.5, "median", "div", 0),
            (0.1, "median", "div", 0),
            (0.9, "median", "div", 0),
            (1.0, "median", "div", 0),
            (0.55, "mean", "div", 0),
            (0.5, "median", "std", 0),
            (0.3, "mean", "std", 0),
            (0.5, "median", "div", 1),
            (0.5, "mean", "div", 1),
        ]
    },
}
SOME = ("grpo", "grpo no std", "qae", "gapo 0.5 median div 0", "gapo 0.3 mean std 0", "gapo 0.5 mean div 1")

# ------------------------------------------------------------------------------------------- the batches

# Few values and many: ties between windows, groups of equal rewards, and everything between; no rewards
# so small that the references lose them.
REWARDS = st.one_of(
    st.integers(0, 4).map(lambda i: i / 4),
    st.floats(0, 1, width=32, allow_subnormal=False),
    st.sampled_from([0.0, 1.0]),
    st.floats(-10, 10, width=32, allow_subnormal=False),
)


@st.composite
def batches(draw, smallest=1):
    """Rewards and groups of a batch: 1-5 groups of smallest-64, unequal, shuffled, labels anything."""
    labels = draw(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5, unique=True))
    sizes = draw(st.lists(st.integers(smallest, 64), min_size=len(labels), max_size=len(labels)))
    rows = [label for label, size in zip(labels, sizes, strict=True) for _ in range(size)]
    values = draw(st.lists(REWARDS, min_size=1, max_size=8))  # a pool, so that ties are many
    pick = draw(st.randoms(use_true_random=False))
    pick.shuffle(rows)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    fresh = draw(st.booleans())
    rewards = [pick.uniform(0, 1) if fresh else pick.choice(values) for _ in rows]
    return torch.tensor(rewards, dtype=dtype), torch.tensor(rows)


def by_group(rewards, groups, formula):
    rows = defaultdict(list)
    for row, label in enumerate(groups.tolist()):
        rows[label].append(row)
    out = [0.0] * len(rewards)
    for members in rows.values():
        for row, value in zip(members, formula([rewards[m].item() for m in members]), strict=True):
            out[row] = value
    return torch.tensor(out, dtype=rewards.dtype)


def all_equal(rewards, groups):
    """For each row: are all rewards of its group the same?"""
    return torch.tensor([len(set(rewards[groups == g].tolist())) == 1 for g in groups])


# -------------------------------------------------------------------------------------------- properties


@pytest.mark.parametrize("case", CASES)
@examples(25)
@given(batch=batches())
def test_equals_its_definition(case, batch):
    estimator, reference = CASES[case]
    got, want = estimator(*batch), by_group(*batch, reference)
    assert got.dtype == batch[0].dtype and got.shape == batch[0].shape
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", [*SOME, "krpo"])
@examples(15)
@given(batch=batches(), seed=st.integers(0, 99))
def test_order_of_the_batch_does_not_matter(case, batch, seed):
    rewards, groups = batch
    order = torch.randperm(len(rewards), generator=torch.Generator().manual_seed(seed))
    if case == "krpo":  # its order inside a group counts: shuffle whole groups only
        order = torch.sort(groups, stable=True, descending=bool(seed % 2)).indices
    estimator = CASES[case][0]
    shuffled = estimator(rewards[order], groups[order])
    torch.testing.assert_close(shuffled, estimator(rewards, groups)[order], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("case", SOME)
@examples(15)
@given(batch=batches(smallest=2), shift=st.integers(-8, 8))
def test_shift_changes_nothing(case, batch, shift):
    """In steps of 1/1024 a shift is exact, so even ties stay ties. Not so for krpo, which starts at 0."""
    rewards, groups = (batch[0] * 1024).round().double() / 1024, batch[1]
    estimator = CASES[case][0]
    torch.testing.assert_close(estimator(rewards + shift, groups), estimator(rewards, groups))


@pytest.mark.parametrize("case", SOME)
@examples(15)
@given(batch=batches(smallest=2), power=st.integers(0, 8))
def test_positive_scale(case, batch, power):
    """gapo by Eq. 4 does not change at all; with eps in the denominator, a little."""
    rewards, groups = batch[0].double().clamp(0, 1).mul(64).round().div(64), batch[1]
    estimator, scale = CASES[case][0], 2.0**power
    plain, scaled = estimator(rewards, groups), estimator(rewards * scale, groups)
    if case == "grpo no std":
        torch.testing.assert_close(scaled, plain * scale)
    else:
        torch.testing.assert_close(scaled, plain, rtol=1e-12 if "div 0" in case else 1e-3, atol=0)


@pytest.mark.parametrize("case", SOME)
@examples(15)
@given(batch=batches())
def test_equal_rewards_give_exactly_zero(case, batch):
    rewards, groups = batch
    equal = all_equal(rewards, groups)
    if case.startswith("grpo"):
        equal &= torch.tensor([(groups == g).sum() > 1 for g in groups])
    assert (CASES[case][0](rewards, groups)[equal] == 0).all()


@examples(25)
@given(batch=batches(), tau=st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_gapo_has_unit_mean_square(batch, tau):
    rewards, groups = batch
    squares = gapo(rewards.double(), groups, tau=tau).square()
    for g in groups[~all_equal(rewards, groups)].unique():
        assert squares[groups == g].mean().item() == pytest.approx(1, rel=1e-9)


# ------------------------------------------------------------------------------------------ known numbers


def one(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype), torch.zeros(len(values), dtype=torch.long)


def test_gapo_by_hand():
    # k = 2 of 4; the windows are .1, .1 and .7 wide in binary fractions of 1/8: the first one, Q = 1/16.
    rewards, groups = one(7 / 8, 0.0, 1 / 8, 2 / 8)
    q = 1 / 16
    scale = math.sqrt(sum((x - q) ** 2 for x in (7 / 8, 0, 1 / 8, 2 / 8)) / 4)
    assert gapo(rewards, groups).tolist() == pytest.approx([(x - q) / scale for x in rewards.tolist()])


@pytest.mark.parametrize(
    ("size", "tau", "k"),
    [
        (8, 0.1, 1),
        (8, 0.5, 4),
        (8, 0.9, 8),
        (8, 1.0, 8),
        (20, 0.55, 11),
        (10, 0.3, 3),
        (1, 0.5, 1),
        (7, 0.5, 4),
        (8, 1e-12, 1),
    ],
)
def test_window_size(size, tau, k):
    assert window_size(size, tau) == k


def test_tau_at_its_ends():
    rewards, groups = one(0.9, 0.2, 0.4, 0.1, 0.5, 0.8, 0.3, 0.7)
    assert (gapo(rewards, groups, tau=0.1) >= 0).all(), "k = 1: Q is the lowest reward"
    assert (gapo(rewards, groups, tau=0.9) > 0).sum() == 4, "k = 8: Q is the median"


def test_released_code_is_smaller_by_the_root_of_seven_eighths():
    rewards, groups = one(0.9, 0.2, 0.4, 0.1, 0.5, 0.8, 0.3, 0.7)
    ratio = gapo(rewards, groups, ddof=1) / gapo(rewards, groups)
    torch.testing.assert_close(ratio, torch.full_like(ratio, math.sqrt(7 / 8)), rtol=1e-4, atol=0)


def test_krpo_is_far_from_unit_scale():
    assert krpo(*one(0, 0, 0, 0, 0, 0, 0, 1.0))[-1].item() == pytest.approx(24.5, abs=0.05)


def test_groups_of_one():
    rewards, groups = torch.tensor([0.3, 0.7]), torch.tensor([4, 9])
    torch.testing.assert_close(grpo(rewards, groups), rewards / (1 + 1e-6))
    assert gapo(rewards, groups).tolist() == gapo(rewards, groups, ddof=1).tolist() == [0, 0]
    assert qae(rewards, groups).tolist() == [0, 0]


def test_tiny_differences_do_not_vanish():
    for tiny in (1e-200, 5e-324):
        assert gapo(*one(0.0, 0.0, 0.0, tiny)).tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("estimator", [grpo, gapo, krpo, qae])
def test_an_empty_batch_and_its_input_stay(estimator):
    assert estimator(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)
    rewards, groups = one(0.3, 0.1, 0.2)
    rewards.requires_grad_()
    assert not estimator(rewards, groups).requires_grad
    assert rewards.tolist() == [0.3, 0.1, 0.2]
