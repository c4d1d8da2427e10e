"""The time that a whole sweep has left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.launch.watch import Pace

SECONDS = st.floats(1, 1e4)


@given(st.lists(SECONDS, min_size=1, max_size=5), st.floats(0.1, 10))
def test_at_the_expected_pace_times_a_factor_the_rest_takes_the_rest(lengths, factor):
    """Half of every run done: what is left takes as long as what has passed."""
    expected = {str(n): seconds for n, seconds in enumerate(lengths)}
    pace = Pace(expected, 1000.0)
    assert pace.left(dict.fromkeys(expected, 0.0), 1000.0) is None
    passed = factor * sum(lengths) / 2
    assert pace.left(dict.fromkeys(expected, 0.5), 1000.0 + passed) == pytest.approx(passed)
    assert pace.left(dict.fromkeys(expected, 1.0), 1000.0 + 2 * passed) == 0


def test_what_was_done_before_is_no_pace():
    pace = Pace({"a": 100.0, "b": 100.0}, 0.0)
    assert pace.left({"a": 1.0, "b": 0.0}, 1.0) is None
    assert pace.left({"a": 1.0, "b": 0.5}, 200.0) == pytest.approx(200.0)
    assert Pace({}, 0.0).left({"a": 0.5}, 10.0) is None
