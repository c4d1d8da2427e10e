"""The robust baselines and the two controls, against references written from their definitions."""

from __future__ import annotations

import math
import re
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from gapo_lab.methods import (
    ESTIMATORS,
    gapo,
    gapo_centred,
    grpo,
    grpo_shifted,
    huber,
    median,
    rank,
    shrinkage,
    trimmed_mean,
)
from gapo_lab.planning import verl_key_rules

GROUPS = st.lists(
    st.one_of(st.integers(0, 4).map(lambda i: i / 4), st.floats(0, 1, allow_subnormal=False, width=32)),
    min_size=2,
    max_size=24,
)
OVER_STD = (median, trimmed_mean, huber)


def one(values):
    return torch.tensor(values, dtype=torch.float64), torch.zeros(len(values), dtype=torch.long)


def is_flat(values):
    return min(values) == max(values)


def over_std(values, centre):
    """(r - centre) / (std + 1e-6), 0 for a flat group."""
    return [0.0 if is_flat(values) else (x - centre) / (statistics.stdev(values) + 1e-6) for x in values]


@examples(60)
@given(values=GROUPS)
def test_the_centre_is_what_the_name_says(values):
    assert median(*one(values)).tolist() == pytest.approx(over_std(values, statistics.median(values)))
    cut = len(values) // 4
    kept = sorted(values)[cut : len(values) - cut]
    assert trimmed_mean(*one(values)).tolist() == pytest.approx(over_std(values, statistics.fmean(kept)))


@examples(60)
@given(values=GROUPS, k=st.sampled_from([0.5, 1.345, 3.0]))
def test_hubers_location_solves_its_equation(values, k):
    """The pulls sum to 0; where the median absolute deviation is 0 it is the median."""
    found = huber(*one(values), k=k)
    if is_flat(values):
        assert found.tolist() == [0.0] * len(values)
        return
    h = values[0] - found[0].item() * (statistics.stdev(values) + 1e-6)
    middle = statistics.median(values)
    reach = k * 1.4826 * statistics.median(abs(x - middle) for x in values)
    if reach == 0:
        assert h == pytest.approx(middle, abs=1e-9)
    else:
        assert sum(min(max(x - h, -reach), reach) for x in values) == pytest.approx(0, abs=1e-7)


@examples(60)
@given(values=GROUPS)
def test_rank_is_grpo_of_the_mean_ranks(values):
    ranks = [sum(y < x for y in values) + (sum(y == x for y in values) + 1) / 2 for x in values]
    torch.testing.assert_close(rank(*one(values)), grpo(*one(ranks)))
    torch.testing.assert_close(rank(*one(values)), rank(*one([k * k for k in ranks])), msg="only the order")


@examples(60)
@given(values=GROUPS, tau=st.sampled_from([0.1, 0.5, 1.0]))
def test_the_two_controls_take_gapo_apart(values, tau):
    """gapo = gapo_centred + b and grpo_shifted = grpo + b, the same b for every rollout of a group."""
    whole, centred = gapo(*one(values), tau=tau), gapo_centred(*one(values), tau=tau)
    shift = whole - centred
    assert centred.sum().item() == pytest.approx(0, abs=1e-9)
    assert (shift.max() - shift.min()).item() == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(grpo_shifted(*one(values), tau=tau) - grpo(*one(values)), shift)


def ref_shrinkage(batch):
    """arXiv 2511.03710's empirical baseline, a loop over groups of one size."""
    n, size = len(batch), len(batch[0])
    total, count = sum(map(sum, batch)), n * size
    own = [[(sum(row) - x) / (size - 1) for x in row] for row in batch]
    every = [[(total - x) / (count - 1) for x in row] for row in batch]
    within = sum((x - o) ** 2 for r, m in zip(batch, own, strict=True) for x, o in zip(r, m, strict=True))
    within /= n * (size - 1)
    apart = [statistics.fmean(row) - statistics.fmean(other) for row, other in zip(batch, every, strict=True)]
    between = max(0.0, sum(x * x for x in apart) / (n - 1) - within / size)
    noise = within / (size - 1)
    w = noise / (noise + between) if noise + between else 0.0
    flat = [[x for row in rows for x in row] for rows in (batch, own, every)]
    return [x - (1 - w) * o - w * e for x, o, e in zip(*flat, strict=True)]


@examples(60)
@given(data=st.data(), n=st.integers(2, 5), size=st.integers(2, 6))
def test_shrinkage_is_its_definition(data, n, size):
    batch = [
        data.draw(st.lists(st.integers(0, 8).map(lambda i: i / 8), min_size=size, max_size=size)) for _ in range(n)
    ]
    rewards = torch.tensor(batch, dtype=torch.float64).flatten()
    groups = torch.arange(n).repeat_interleave(size)
    wanted = [0.0] * len(rewards) if is_flat(rewards.tolist()) else ref_shrinkage(batch)
    assert shrinkage(rewards, groups).tolist() == pytest.approx(wanted, abs=1e-9)
    order = torch.randperm(len(rewards), generator=torch.Generator().manual_seed(n))
    torch.testing.assert_close(shrinkage(rewards[order], groups[order]), shrinkage(rewards, groups)[order])


def test_shrinkage_at_its_ends():
    rewards = torch.tensor([0.0, 2, 1, 3, 10, 12], dtype=torch.float64)
    pairs = torch.tensor([0, 0, 1, 1, 2, 2])
    w = 8 / (8 + 39.68)  # by hand: s2 = v = 8, t2 = 39.68
    wanted = [r - (1 - w) * o - w * (28 - r) / 5 for r, o in zip(rewards.tolist(), [2, 0, 3, 1, 12, 10], strict=True)]
    assert shrinkage(rewards, pairs).tolist() == pytest.approx(wanted)
    alone = shrinkage(rewards, torch.zeros(6, dtype=torch.long))
    assert alone.tolist() == pytest.approx([r - (28 - r) / 5 for r in rewards.tolist()]), "one group: RLOO"
    ones = shrinkage(rewards, torch.arange(6))
    assert ones.tolist() == pytest.approx(alone.tolist()), "groups of one: the others of the batch"
    assert shrinkage(torch.full((6,), 0.3), pairs).tolist() == [0.0] * 6
    assert shrinkage(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)
    assert shrinkage(torch.tensor([0.7]), torch.tensor([3])).tolist() == [0.0]


@pytest.mark.parametrize("method", [median, trimmed_mean, huber, rank, gapo_centred])
def test_equal_rewards_and_groups_of_one_give_zero(method):
    rewards, groups = torch.tensor([0.1, 0.1, 0.1, 0.7]), torch.tensor([1, 1, 1, 2])
    assert method(rewards, groups).tolist() == [0.0] * 4 and method(rewards, groups).dtype == torch.float32


def test_the_estimators_that_a_plan_refuses_for_one_rollout_are_those_that_give_it_nothing():
    groups = torch.arange(3)
    silent = {
        name
        for name, method in ESTIMATORS.items()
        if name not in ("gdpo", "group_aware") and not method(torch.tensor([0.1, 0.5, 0.9]), groups).any()
    }
    assert silent == set(verl_key_rules.ZERO_ALONE)


@pytest.mark.parametrize("method", OVER_STD)
def test_one_outlier_hardly_moves_the_centre(method):
    """The advantages, times their standard deviation, of the good majority: as without the outlier."""
    good, bad = [0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62], -9.0
    moved = method(*one([*good, bad])) * (statistics.stdev([*good, bad]) + 1e-6)
    assert abs(statistics.fmean(good) - (good[0] - moved[0].item())) < 0.03
    plain = grpo(*one([*good, bad])) * (statistics.stdev([*good, bad]) + 1e-6)
    assert abs(statistics.fmean(good) - (good[0] - plain[0].item())) > 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: trimmed_mean(*one([0.0, 1.0]), trim=0.5), "trim=0.5"),
        (lambda: huber(*one([0.0, 1.0]), k=0), "k=0"),
        (lambda: rank(*one([0.0, 1.0]), eps=-1), "eps=-1"),
        (lambda: median(*one([0.0, math.nan])), "group 0 holds the reward nan"),
        (lambda: shrinkage(*one([0.0, math.inf])), "group 0 holds the reward inf"),
        (lambda: gapo_centred(*one([0.0, 1.0]), tau=0), "tau=0"),
        (lambda: grpo_shifted(*one([0.0, 1.0]), tau=2), "tau=2"),
    ],
)
def test_what_is_refused_is_named(call, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        call()
