"""Runs made so that their means are the paper's must give the paper's tables back, cell by cell."""

from __future__ import annotations

import random

import pytest
from analysis_database import Database, golden

from analysis import check
from analysis.paper import conventions, published
from analysis.report import build
from analysis.report.options import Asked
from analysis.sources import connect

MISPRINTED = {  # (table, row, column): what the runs give instead
    ("2", "gapo_dapo over dapo points", "qwen3_4b"): 1.63,
    ("4", "krpo", "qwen_coder_14b"): 23.48,
    ("5", "gapo_dapo_median_std over dapo points", "qwen_coder_3b"): -1.42,
    ("5", "gapo_dapo_median_std over gapo_dapo points", "qwen_coder_3b"): -2.66,
}


@pytest.fixture(scope="module")
def report(empty_mlflow, tmp_path_factory):
    database = Database(empty_mlflow, tmp_path_factory.mktemp("golden") / "mlflow.db")
    runs = golden()
    random.Random(1).shuffle(runs)
    database.add(runs)
    asked = Asked(studies=("paper",), figures=False, against_paper=True)
    return build.build(connect.connect(database.uri), asked).document


def printed(report, name: str) -> dict[tuple[str, str, int], list[str]]:
    """{(row label, the value row above it, n-th of that label): texts}."""
    table = next(t for t in report.tables if t.name == f"table{name}")
    out, above = {}, ""
    for line in table.lines:
        above = line.label if line.kind == "value" else above
        out[line.label, above] = [e.text for e in line.entries]
    return out


@pytest.mark.parametrize("name", ["2", "4", "5"])
def test_every_cell_of_the_paper_comes_back(report, name):
    table = published.load(published.FOLDER / f"table{name}.yaml")
    rows = printed(report, name)
    seen = 0
    for row, values in table.rows.items():
        label = conventions.method(row)
        if name == "5" and row in ("gapo_grpo", "gapo_dapo"):
            label += " (median, div)"
        for column, theirs, ours in zip(table.columns, values, rows[label, label], strict=True):
            wanted = MISPRINTED.get((name, row, column), theirs)
            assert ours == ("–" if wanted is None else f"{wanted:.2f}"), (row, column)
            seen += 1
    assert seen == len(table.rows) * len(table.columns)


@pytest.mark.parametrize("name", ["2", "4", "5"])
def test_every_difference_of_the_paper_comes_back(report, name):
    """Improve, Imp. (%), Step-delta and the deltas of Table 5; from unrounded values, so 0.01 may differ."""
    table = published.load(published.FOLDER / f"table{name}.yaml")
    rows = printed(report, name)
    assert table.deltas
    for delta in table.deltas:
        for column, theirs, ours in zip(
            table.columns, delta.values, rows[delta.name, conventions.method(delta.of)], strict=True
        ):
            wanted = MISPRINTED.get((name, f"{delta.of} over {delta.over} {delta.kind}", column), theirs)
            if wanted is None:
                assert ours == "–"
            elif delta.kind == "steps" or name == "4":
                assert float(ours) == wanted, (delta, column)
            else:
                assert float(ours) == pytest.approx(wanted, abs=0.0101), (delta, column)


def test_the_check_finds_the_misprints_and_no_others():
    found = [m for table in published.paper() for m in check.check(table)] + check.check_together(published.paper())
    said = {(m.table, m.row, m.column, m.printed, round(m.recomputed, 2)) for m in found}
    assert len(found) == 4
    assert said == {
        ("2", "Improve. of GAPO (D)", "Qwen3-4B", 1.37, 1.63),
        ("4", "KRPO", "Qwen2.5-Coder-14B", 23.49, 23.48),
        ("5", "Δ to DAPO of GAPO (D) (median, std)", "Qwen2.5-Coder-3B", -1.62, -1.42),
        ("5", "Δ to GAPO (D) of GAPO (D) (median, std)", "Qwen2.5-Coder-3B", -2.86, -2.66),
    }


def test_against_the_paper_nothing_differs_but_the_misprints(report):
    differences = {}
    for table in report.tables:
        if table.name.startswith("against"):
            for line in table.lines:
                for model, entry in enumerate(line.entries[2::3]):
                    if entry.value is not None and abs(entry.value) > 0.0101:
                        differences[table.name, line.label, table.header[0][model][0]] = round(entry.value, 2)
    assert differences == {
        ("against_table2", "Improve.", "Qwen3-4B"): 0.26,
        ("against_table5", "Δ to DAPO", "Qwen2.5-Coder-3B"): 0.2,
        ("against_table5", "Δ to GAPO (D)", "Qwen2.5-Coder-3B"): 0.2,
    }
