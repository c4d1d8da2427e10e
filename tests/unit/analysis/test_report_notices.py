"""What a report says of runs that are no result: rehearsals, smoke runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from trained_runs import trained

from analysis import report
from analysis.report import build
from analysis.report.options import Asked
from analysis.sources.run_folders import RunFolders

pytestmark = pytest.mark.slow  # whole reports


def test_a_report_on_rehearsals_says_so_everywhere_and_claims_nothing(study, capsys):
    assert report.main(["both", "--markdown", "page.md", "--spread", "--no-log"]) == 0
    said = capsys.readouterr().out
    folder = Path("reports/both")
    page, markdown = (folder / "report.html").read_text(), Path("page.md").read_text()
    for text in (said, page, markdown):
        assert "12 of" not in text and "these runs are rehearsals" in text
        assert "What can be said" not in text and "no difference found" not in text and "Bold: the highest" not in text
        assert " is better than " not in text and " is worse than " not in text
    assert "\\def\\@oddhead" in (folder / "report.tex").read_text()
    bare = list(folder.glob("*.tabular.tex"))
    for path in bare:
        assert "    Made-up numbers (rehearsal) &" in path.read_text()
    fragments = [path for path in folder.glob("*.tex") if path.stem != "report" and path not in bare]
    assert len(fragments) == len(bare) > 5
    for path in fragments:
        assert "\\caption{Made-up numbers (rehearsal): " in path.read_text()
        assert "# Made-up numbers (rehearsal)" in path.with_suffix(".csv").read_text()
        assert "\\textbf{" not in path.read_text() and "$^{\\circ}$" not in path.read_text()
    assert page.count("<figcaption>") == page.count("</strong> Made-up numbers (rehearsal): ") > 1
    assert "made_up" in (folder / "tidy.csv").read_text().splitlines()[0]


def test_a_study_of_both_says_so_and_one_without_says_nothing(place):
    for seed in range(2):
        trained(Path("runs"), f"a{seed}", seed=seed)
    asked = Asked(studies=("s",), figures=False)
    real = build.build(RunFolders(Path("runs")), asked).document
    assert not real.notice and not any(table.notice for table in real.tables)
    for seed in range(2):
        trained(Path("runs"), f"b{seed}", seed=seed, algo="dapo", science={"rehearsal.steps": 3, "of": "dapo"})
    mixed = build.build(RunFolders(Path("runs")), asked).document
    assert "2 of 4 runs are rehearsals" in mixed.notice and not mixed.verdicts
    assert all(table.notice for table in mixed.tables)


def test_a_report_with_smoke_runs_says_that_they_are_no_result(place):
    for seed in range(2):
        trained(Path("runs"), f"a{seed}", seed=seed)
        trained(Path("runs"), f"b{seed}", seed=seed, algo="dapo", scale="smoke")
    mixed = build.build(RunFolders(Path("runs")), Asked(studies=("s",), figures=False)).document
    assert "2 of 4 runs are smoke runs" in mixed.notice and "Made-up" not in mixed.notice and not mixed.verdicts
    assert all(table.notice == "No result (smoke run)" for table in mixed.tables)
