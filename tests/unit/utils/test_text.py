"""Numbers as people read them."""

from __future__ import annotations

from gapo_lab.utils.text import ago, points, signed, span


def test_a_change_that_rounds_to_nothing_has_no_sign():
    assert [points(one) for one in (-0.0001, 0.0, 0.0001, 0.013, -0.013)] == [
        "0.0 pts",
        "0.0 pts",
        "0.0 pts",
        "+1.3 pts",
        "-1.3 pts",
    ]
    assert [signed(one, 3) for one in (-0.0004, 0.0, -0.0006)] == ["0.000", "0.000", "-0.001"]


def test_times_name_their_unit():
    assert [ago(one) for one in (0.4, 59, 226, 7200, 200_000)] == [
        "0 s ago",
        "59 s ago",
        "3 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert [span(one) for one in (15, 780, 16_200)] == ["15 seconds", "13 minutes", "4.5 hours"]
