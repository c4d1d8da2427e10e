"""A study of a method of one's own: where it stands in the tables, and what is said of it."""

from __future__ import annotations

import measured_cells

from analysis.tables import paper


def labels(*algos: str) -> list[str]:
    results = measured_cells.results({algo: [[0.1, 0.2], [0.1, 0.3]] for algo in algos})
    table = paper.main_table(results, "table2", "", steps=False, percent=False)
    return [line.label for line in table.lines if line.kind == "value"]


def test_a_method_of_ones_own_stands_below_its_baseline():
    assert labels("a_own", "grpo") == ["GRPO", "a_own"]
    everything = ("winsor", "qae", "median", "gapo_dapo", "dapo", "gapo_grpo", "grpo")
    assert labels(*everything) == ["QAE", "GRPO", "GAPO (G)", "DAPO", "GAPO (D)", "Median", "winsor"]
