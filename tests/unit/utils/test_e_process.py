"""The e-process against its definition, and that looking after every seed does not make it err."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from gapo_lab.utils.e_process import BAR, bet, log_e, symmetric_e

DIFFERENCES = st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=2, max_size=12).filter(
    lambda values: max(values) - min(values) > 0.01
)


@pytest.mark.parametrize(("t", "n"), [(0.0, 5), (2.0, 5), (-3.1, 8), (6.0, 12)])
def test_e_is_the_bayes_factor_of_a_normal_effect_against_none(t, n):
    """The density of t under effects delta ~ N(0, g), over that under none."""
    under = integrate.quad(
        lambda delta: stats.nct.pdf(t, n - 1, delta * math.sqrt(n)) * stats.norm.pdf(delta), -8, 8, limit=200
    )[0]
    assert math.exp(log_e(t, n)) == pytest.approx(under / stats.t.pdf(t, n - 1), rel=1e-3)


@given(values=DIFFERENCES)
def test_the_differences_that_stay_open_are_those_with_a_small_e(values):
    found = bet(values)
    if math.isfinite(found.low):
        for end in (found.low, found.high):
            assert bet([one - end for one in values]).e == pytest.approx(BAR, rel=1e-6)
        inside = found.low + 0.4 * (found.high - found.low)
        assert bet([one - inside for one in values]).e < BAR
    assert found.is_decided == (not found.low <= 0 <= found.high)
    assert found.verdict == ("open" if not found.is_decided else "better" if found.mean > 0 else "worse")


def test_what_says_nothing_leaves_all_open():
    for values in ([], [0.3], [0.2, 0.2, 0.2], [0.0] * 5, [0.3 - 0.2, 0.1, 0.1, 0.1, 0.1]):
        assert bet(values).e == 1 and bet(values).verdict == "open"
    assert bet([1.0, 1.01, 0.99]).low == -math.inf, "three seeds can never decide"
    assert bet([1.0, 1.01, 0.99, 1.02, 0.98]).verdict == "better"
    assert bet([1.0, 1.01, 0.99, 1.02, 0.98], claims=10**9).verdict == "open"
    for wrong in ({"claims": 0}, {"spread": 0}):
        with pytest.raises(ValueError, match="at least one claim"):
            bet([1.0, 2.0], **wrong)


def test_looking_after_every_seed_errs_in_fewer_than_one_of_twenty():
    """1,500 studies without a difference, of up to 20 seeds: E reaches 20 in about 2 of 100; a t test in 18."""
    rng = np.random.default_rng(0)
    wrong = sum(any(bet(row[:n]).is_decided for n in range(5, 21)) for row in rng.normal(size=(1500, 20)).tolist())
    assert wrong / 1500 <= 0.05


@given(values=st.lists(st.floats(-2, 2), max_size=8), matters=st.sampled_from([0.5, 1.0]))
def test_without_normality_the_bets_are_fair_under_every_flip_of_signs(values, matters):
    """The mean of E over all signs of the differences is exactly 1: that is what makes it safe."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(values))).reshape(len(values), -1).T if values else np.ones((1, 0))
    found = [symmetric_e((row * np.array(values)).tolist(), matters) for row in signs]
    assert statistics.fmean(found) == pytest.approx(1, rel=1e-9)


def test_without_normality_a_steady_difference_is_found():
    assert symmetric_e([1.0, 0.8, 1.2, 0.9, 1.1, 1.3, 0.7, 1.0], matters=1.0) > BAR
    with pytest.raises(ValueError, match="matters=0"):
        symmetric_e([1.0], matters=0)
