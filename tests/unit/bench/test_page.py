"""docs/bench.md: `make bench` renews its own part and leaves the rest."""

from __future__ import annotations

from bench.__main__ import OUTPUT, by_hand, document, line
from bench.measurement import Row


def test_sections_written_by_hand_outlive_make_bench():
    page = OUTPUT.read_text(encoding="utf-8")
    assert "## On one H100" in by_hand(page) and "## The GPU check" in by_hand(page)
    renewed = document([]) + by_hand(page)
    assert by_hand(renewed) == by_hand(page)
    assert "\n## " not in document([])
    assert by_hand("# No section\n") == ""


def test_the_page_has_the_notes_of_today_and_all_rows_in_one_table():
    page = OUTPUT.read_text(encoding="utf-8")
    made = page.removesuffix(by_hand(page))
    head, notes = document([]).split("|---|---|---|---|---|---|\n")
    assert notes.strip() in made
    assert made.count("\n| what / compared with |") == head.count("\n| what / compared with |") == 1
    # rows of the table with targets belong above what is written by hand
    assert "| met |" not in by_hand(page)


def test_large_numbers_are_written_out():
    assert line(Row("memory", 200.0, 1000.0, 1.0, "MB")) == "| memory | 200 MB | 1,000 MB | 0.2 | at most 1 | met |"
    assert line(Row("share", 0.035, 0.06, None, "")) == "| share | 0.035 | 0.06 | 0.583 |  |  |"
