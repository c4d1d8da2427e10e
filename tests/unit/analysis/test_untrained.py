"""A report whose numbers are an untrained model's says so, wherever they are shown."""

from __future__ import annotations

import measured_cells
import pytest

from analysis.render import html, latex, markdown, plain_text, tidy
from analysis.report import wording
from analysis.tables import paper, statistics
from analysis.tables.document import Document

# GRPO is best before it trains, GAPO in one of two runs; the last has learned.
DEV = {
    "grpo": [[0.4, 0.3, 0.2], [0.4, 0.2, 0.1]],
    "gapo_grpo": [[0.4, 0.3, 0.2], [0.4, 0.5, 0.1]],
    "krpo": [[0, 1, 2]] * 2,
}
SAID = (
    "Step 0, before training, was picked in 3 of 6 runs (GRPO 2 of 2, GAPO (G) 1 of 2): these runs count with the "
    "untrained model's value. Train longer, or use --pick final."
)


def drawn(pick: str | None = None, algos=tuple(DEV)):
    """The results of two runs a method, measured at steps 0, 10 and 20."""
    return measured_cells.results({algo: DEV[algo] for algo in algos}, pick)


def test_the_front_says_how_many_runs_are_untrained_and_what_to_do():
    results = drawn()
    assert wording.cautions({"val/id/em": results}) == [SAID]
    assert wording.cautions({"val/id/em": results, "val/ood/em": results}) == [SAID]
    few = wording.cautions({"val/id/em": results, "val/ood/em": drawn("final")})
    assert few[0].startswith("Exact match accuracy (%) on the ID test set: step 0, before training, was picked in 3")
    assert "these rows compare untrained models" in wording.cautions({"a": drawn(algos=("grpo", "gapo_grpo"))})[0]
    page = Document("t", "", (), (), (), (), (), cautions=(SAID,))
    written = (html.page(page, ()), markdown.page(page, "img"), latex.document(page))
    for text in written:
        assert "before training, was picked in 3 of 6 runs" in text


@pytest.mark.parametrize("pick", ["final", "mean"])
def test_where_no_step_is_chosen_nothing_is_said(pick):
    results = drawn(pick)
    assert wording.cautions({"val/id/em": results}) == []
    assert "picked" not in plain_text.to_csv(statistics.cells_table(results, "statistics_id", ""))


def test_an_untrained_row_has_a_note_and_is_never_the_best():
    table = paper.main_table(drawn("best"), "table2", "", steps=False, percent=False)
    rows = {line.label: line.entries[0] for line in table.lines if line.kind == "value"}
    assert rows["GRPO"].rank == 0 and rows["GRPO"].marks
    notes = dict(table.notes)
    assert notes[rows["GRPO"].marks[0]].startswith("step 0, before training, was picked in 2 of 2 runs. Train longer")
    assert rows["KRPO"].rank == 0 and not rows["KRPO"].marks  # alone, it is better than nothing


def test_the_picked_steps_are_shown_for_each_run():
    results = drawn()
    table = statistics.cells_table(results, "statistics_id", "")
    place = [text for text, _ in table.header[0]].index("picked step")
    found = {line.label.split(" ", 1)[1]: line.entries[place].text for line in table.lines}
    assert found == {"GRPO": "0", "GAPO (G)": "0, 10", "KRPO": "20"}
    compared = statistics.comparisons_table(results, "comparisons_id", "")
    assert any("before training, was picked in 3 of 6 runs" in text for _, text in compared.notes)
    head, *rows = tidy.to_csv([results.measured]).splitlines()
    assert head.endswith("metric,pick,step,value") and rows[0].endswith("val/id/em,dev,0,0.4")
