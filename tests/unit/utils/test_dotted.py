"""Nested dicts and dotted keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.utils.dotted import flatten, unflatten

NAMES = st.sampled_from("abcd")
TREES = st.recursive(
    st.integers() | st.lists(st.integers()), lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=8
)


@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3))
def test_there_and_back(tree):
    assert unflatten(flatten(tree)) == tree


def test_an_empty_node_of_the_caller_stays_empty():
    """It is shared by all cells of a sweep: `+cluster.sbatch.x=1` in one of them is not for the others."""
    flat = {"cluster.sbatch": {}, "cluster.sbatch.exclude": "n7"}
    assert unflatten(flat) == {"cluster": {"sbatch": {"exclude": "n7"}}}
    assert flat["cluster.sbatch"] == {}
