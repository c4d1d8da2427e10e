"""Which rows make a group, and that no method waits for a GPU to find out."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import examples

from bench.host_waits import AWAY, HostWaits
from gapo_lab.methods import ESTIMATORS
from gapo_lab.methods.groups import per_group, rows_by_size, sent_to

EXTRAS = {
    "item": torch.tensor([0.0, 1, 1, -1, 2, 0, 0, 1]),
    "choices": torch.full((8,), 5.0),
    "em": torch.tensor([0.0, 1, 1, 0, 0, 1, 0, 0]),
    "similarity": torch.linspace(0, 1, 8),
}
GIVEN = {
    "gdpo": {"extras": EXTRAS},
    "group_aware": {"extras": EXTRAS},
    "krpo": {"order": torch.tensor([1, 0, 0, 1, 3, 2, 2, 3])},
    "redit": {"draw": 7},
}
OPTIONS = {
    "gapo": [{"center": "mean"}, {"scale": "std"}, {"ddof": 1}],
    "qae": [{"interpolation": "inverted_cdf"}],
    "grpo": [{"norm_by_std": False}],
    "redit": [{"noise": "gauss"}],
}
CASES = [(name, extra) for name in ESTIMATORS for extra in ({}, *OPTIONS.get(name, ()))]
EQUAL = torch.tensor([9, 4, 9, 4, 9, 4, 4, 9])
UNEQUAL = torch.tensor([9, 4, 9, 4, 9, 9, 7, 9])


@pytest.mark.parametrize("groups", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_no_method_makes_the_host_wait(name, options, groups):
    rewards = torch.empty(8, device=AWAY)
    with HostWaits() as seen:
        advantages = ESTIMATORS[name](rewards, groups, **options, **GIVEN.get(name, {}))
    assert seen.waits == []
    assert advantages.shape == rewards.shape and advantages.device == AWAY and advantages.dtype == rewards.dtype


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: bool(x.any()),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x[x > 0],
        lambda x: x[[1]],
        lambda x: x[torch.tensor([1])],
        lambda x: x.cpu(),
        lambda x: torch.zeros(3).to(AWAY),
        lambda x: x.copy_(torch.zeros(3)),
    ],
)
def test_a_wait_is_seen(wait):
    """What the test above relies on: each of these stops the host on a GPU, and torch's `meta` refuses or we count."""
    x = torch.empty(3, device=AWAY)
    with HostWaits() as seen:
        try:
            wait(x)
        except (RuntimeError, NotImplementedError):
            return
    assert seen.waits


def test_labels_on_the_gpu_are_fetched_once(monkeypatch):
    """One copy to the host instead of one for each size; `meta` has nothing to copy, so that it is refused there."""
    with pytest.raises(NotImplementedError, match="meta tensor"):
        per_group(torch.empty(8, device=AWAY), EQUAL.to(AWAY), lambda r: r)


def test_what_goes_to_the_same_device_is_not_copied():
    assert sent_to(EQUAL.device, EQUAL) is EQUAL


@st.composite
def labels(draw):
    """Labels of 1-6 groups of 1-12 rows in any order; half of the time all groups have one size."""
    names = draw(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=6, unique=True))
    one = draw(st.integers(1, 12))
    sizes = (
        [one] * len(names)
        if draw(st.booleans())
        else draw(st.lists(st.integers(1, 12), min_size=len(names), max_size=len(names)))
    )
    rows = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    return draw(st.permutations(rows))


@examples(100)
@given(rows=labels())
def test_a_block_holds_the_groups_of_one_size(rows):
    members = defaultdict(list)
    for row, label in enumerate(rows):
        members[label].append(row)
    wanted = defaultdict(list)
    for label in sorted(members):
        wanted[len(members[label])].append(members[label])
    assert [block.tolist() for block in rows_by_size(torch.tensor(rows))] == [wanted[size] for size in sorted(wanted)]


@pytest.mark.parametrize(
    ("name", "options"), [case for case in CASES if case[0] not in ("gdpo", "group_aware", "redit", "shrinkage")]
)
@examples(25)
@given(rows=labels(), seed=st.integers(0, 99))
def test_groups_of_one_size_give_the_same_bits_as_beside_another_group(name, options, rows, seed):
    """They take a shorter way: the block that is made for several sizes is the same block."""
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.rand(len(rows), generator=generator).mul(32).round().div(32)
    other = torch.tensor([max(rows) + 1] * 13)  # no group of `labels` has 13 rows
    alone = ESTIMATORS[name](rewards, torch.tensor(rows), **options)
    beside = ESTIMATORS[name](torch.cat([rewards, torch.ones(13)]), torch.cat([torch.tensor(rows), other]), **options)
    assert torch.equal(alone, beside[: len(rows)])


def test_a_reward_that_is_not_finite_ends_the_process_where_the_host_does_not_wait():
    """On a GPU the assertion is the device's; here its operation is seen, and what it says."""
    asserted = []

    class Seen(HostWaits):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "_assert_async" in func.overloadpacket.__name__:
                asserted.append(args[1])
            return super().__torch_dispatch__(func, types, args, kwargs)

    with Seen():
        per_group(torch.empty(8, device=AWAY), EQUAL, lambda r: r)
    assert asserted == ["a reward is not finite"]
    with pytest.raises(RuntimeError, match="a reward is not finite"):
        torch._assert_async(torch.tensor([math.nan]).isfinite().all(), "a reward is not finite")
