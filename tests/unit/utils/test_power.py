"""Power against simulation and scipy's own noncentral t."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gapo_lab.utils.power import MOST, noncentrality, seeds_for_error, seeds_needed, visible


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_what_is_visible_is_seen_in_eight_of_ten_studies(seeds):
    size = visible(seeds)
    values = np.random.default_rng(seeds).normal(size=(2, 4000, seeds))
    p = stats.ttest_ind(values[0] + size, values[1], axis=1).pvalue
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("claims", [1, 4])
@pytest.mark.parametrize("freedom", [2, 8, 8.5, 98])
def test_the_noncentrality_is_scipys(freedom, claims):
    critical = stats.t.ppf(1 - 0.025 / claims, freedom)
    found = noncentrality(freedom, claims=claims)
    assert stats.nct.sf(critical, freedom, found) == pytest.approx(0.8, abs=1e-4)


def test_seeds_needed_are_the_fewest_that_see_it():
    for difference in (0.3, 1.0, 2.0, 4.0):
        needed = seeds_needed(-difference, 1.0)
        assert visible(needed) <= difference < visible(needed - 1)
    assert seeds_needed(2.0, 0.5) == seeds_needed(4.0, 1.0) and seeds_needed(1.0, 0.0) == 2
    assert seeds_needed(0.0, 1.0) is None and seeds_needed(visible(MOST) / 2, 1.0) is None
    assert seeds_needed(math.nan, 1.0) is None and visible(1) == math.inf


@pytest.mark.parametrize("difference", [0.5, 1.0, 1.9])
def test_from_an_error_it_is_the_same_as_from_a_spread(difference):
    """Five seeds of sd 1: the error of a difference is sqrt(2/5), its freedom 8, and both scale with the seeds."""
    found = seeds_for_error(difference, math.sqrt(2 / 5), 8.0, 5)
    assert abs(found - seeds_needed(difference, 1.0)) <= 1
    assert found < seeds_for_error(difference, math.sqrt(2 / 5), 8.0, 5, claims=4)
    assert seeds_for_error(difference, 0.0, 8.0, 5) is None and seeds_for_error(0.0, 1.0, 8.0, 5) is None
