"""Steps to one threshold for both methods, and the area under the curve, on curves whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.results.curves import Curve
from analysis.statistics.speed import crossing, mean_height, speed

STEPS = np.arange(0, 101, 10)


def trials(rng, seeds=5, rate=30.0, top=0.5, noise=0.01, seed_sd=0.005):
    """Saturating curves from 0.2 to `top`, with a seed's own level and a validation's own noise."""
    out = []
    for _ in range(seeds):
        values = 0.2 + (top - 0.2) * (1 - np.exp(-STEPS / rate)) + rng.normal(0, seed_sd)
        out.append(Curve(STEPS, values + rng.normal(0, noise, len(STEPS))))
    return out


def test_a_crossing_lies_on_the_line_between_two_validations():
    values = np.array([[0.0, 1.0, 2.0], [0.0, 0.2, 0.4], [5.0, 5.0, 5.0]])
    found = crossing(np.array([0, 10, 20]), values, np.array([1.5, 1.0, 1.0]))
    assert found[0] == 15 and math.isnan(found[1]) and found[2] == 0


def test_a_method_that_learns_twice_as_fast_is_told_so():
    """Exact curves: 90% of the gain is reached at 30 ln 10 = 69 steps, and at half of that."""
    rng = np.random.default_rng(0)
    exact = {"noise": 0.0, "seed_sd": 0.0}
    found = speed(trials(rng, rate=15.0, **exact), trials(rng, **exact))
    assert found.delta < -25 and found.low == found.high == pytest.approx(found.delta)
    assert found.area.delta > 0
    noisy = speed(trials(rng, rate=15.0), trials(rng))
    assert noisy.high < 0 and noisy.low < found.delta < noisy.high


def test_of_equal_methods_the_interval_holds_zero():
    rng = np.random.default_rng(1)
    found = [speed(trials(rng), trials(rng)) for _ in range(60)]
    assert all(found), "no dashes"
    assert np.mean([not one.low <= 0 <= one.high for one in found]) <= 0.1
    assert abs(np.mean([one.delta for one in found])) < 4


def test_the_area_is_the_mean_over_steps():
    assert mean_height(Curve(np.array([0, 10, 40]), np.array([0.0, 1.0, 1.0]))) == pytest.approx(35 / 40)
    assert mean_height(Curve(np.array([3]), np.array([0.4]))) == 0.4


def test_what_does_not_rise_has_no_speed():
    flat = [Curve(STEPS, np.full(len(STEPS), 0.3))] * 2
    assert speed(flat, flat) is None and speed([], flat) is None
    one = [Curve(STEPS, STEPS / 100)]
    alone = speed(one, one)
    assert alone.delta == 0 and math.isnan(alone.low) and math.isnan(alone.area.error)
