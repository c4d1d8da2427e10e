"""docs/bench.md: `make bench` renews its own part and leaves the rest."""

from __future__ import annotations

from bench.__main__ import OUTPUT, by_hand, document


def test_sections_written_by_hand_outlive_make_bench():
    page = OUTPUT.read_text(encoding="utf-8")
    assert "## On one H100" in by_hand(page) and "## The GPU check" in by_hand(page)
    renewed = document([]) + by_hand(page)
    assert by_hand(renewed) == by_hand(page)
    assert "\n## " not in document([])
    assert by_hand("# No section\n") == ""
