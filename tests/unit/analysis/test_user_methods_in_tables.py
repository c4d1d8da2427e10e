"""A study of a method of one's own: where it stands in the tables, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace

import measured_cells

from analysis.render.sentence import sentence
from analysis.report import wording
from analysis.results.measurements import Measured
from analysis.tables import captions, paper

CURVES = {"grpo": [[0.1, 0.2], [0.1, 0.3]]}


def labels(*algos: str) -> list[str]:
    results = measured_cells.results({algo: [[0.1, 0.2], [0.1, 0.3]] for algo in algos})
    table = paper.main_table(results, "table2", "", steps=False, percent=False)
    return [line.label for line in table.lines if line.kind == "value"]


def test_a_method_of_ones_own_stands_below_its_baseline():
    assert labels("a_own", "grpo") == ["GRPO", "a_own"]
    everything = ("winsor", "qae", "median", "gapo_dapo", "dapo", "gapo_grpo", "grpo")
    assert labels(*everything) == ["QAE", "GRPO", "GAPO (G)", "DAPO", "GAPO (D)", "Median", "winsor"]


def test_the_measure_that_was_read_is_named():
    expected = measured_cells.results(CURVES, metrics=("val/id/em", "val/id/em_expected")).measured
    assert captions.title(expected) == "Expected exact match accuracy (%) on the ID test set"
    assert captions.axis(expected) == "expected exact match, %"
    sampled = measured_cells.results(CURVES, metrics=("val/id/em",))
    assert captions.title(sampled.measured) == "Exact match accuracy (%) on the ID test set"
    assert captions.axis(sampled.measured) == "exact match, %"
    selection = SimpleNamespace(runs=sampled.grid.at[("grpo",), ("nano",)].runs, cells=[*sampled.grid.at.values()])
    facts = dict(wording.facts(selection, [expected], (0, 1)))
    assert facts["Measure"] == "Expected exact match accuracy (em_expected, in place of em)"
    own = Measured("val/id/close", "final", {})
    assert captions.title(own) == "close on the ID test set" and captions.axis(own) == "close"


def test_a_note_begins_with_a_capital_letter_unless_it_begins_with_a_name():
    assert sentence("last step: the mean") == "Last step: the mean"
    for text in ("val/id/em_expected, dev of each run", "p corr.: by Holm", "em_expected: P"):
        assert sentence(text) == text
