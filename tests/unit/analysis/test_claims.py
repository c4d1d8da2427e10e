"""What a study claims before its runs: kept in the run folder, and alone called better or worse in a report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import pytest
from analysis_database import Database
from matplotlib.figure import Figure

from analysis.figures import drawing
from analysis.render import html, latex, markdown
from analysis.report import build
from analysis.report.options import Asked
from analysis.sources import connect
from analysis.tables.table import heads
from gapo_lab.config.compose import compose_run
from gapo_lab.errors import UserError
from gapo_lab.planning.spec import make_spec
from gapo_lab.planning.validation import check
from gapo_lab.runs.provenance import Provenance
from gapo_lab.runs.status import RunStatus
from gapo_lab.tracking import mapping
from gapo_lab.utils.e_process import bet
from gapo_lab.utils.power import seeds_needed, visible
from gapo_lab.utils.text import two_digits

LINE = "median over grpo on val/id/em"


def runs(claims=(None,), methods=("grpo", "median", "gapo_grpo")) -> list[dict]:
    """Three methods of five seeds, each a tenth apart. The runs of one seed are started with one of `claims`."""
    return [
        {
            "study": "s",
            "model": "nano",
            "algo": algo,
            "seed": seed,
            "tau": 0.5 if "gapo" in algo else None,
            "tags": {} if (said := claims[min(seed, len(claims) - 1)]) is None else {"gapo.claims": json.dumps(said)},
            "points": {
                "val/id/em": {0: 0.1, 10: 0.4 + 0.1 * number + 0.01 * (seed * 2 % 5)},
                "val/ood/em": {0: 0.1, 10: 0.2 + 0.1 * number + 0.01 * (seed * 3 % 5)},
            },
        }
        for seed in range(5)
        for number, algo in enumerate(methods)
    ]


def report(empty_mlflow, tmp_path, found, **asked):
    Database(empty_mlflow, tmp_path / "c.db").add(found)
    source = connect.connect(f"sqlite:///{tmp_path}/c.db")
    return build.build(source, Asked(studies=("s",), figures=False, **asked)).document


def verdicts(made, name="comparisons_id"):
    table = next(one for one in made.tables if one.name == name)
    place = heads(table).index("verdict")
    return {line.label.partition(": ")[2]: line.entries[place].text for line in table.lines}


def test_a_claim_is_decided_and_the_rest_is_exploratory(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs([[LINE]]))
    assert verdicts(made) == {"GAPO (G) over GRPO": "exploratory", "Median over GRPO": "better"}
    assert verdicts(made, "comparisons_ood")["Median over GRPO"] == "exploratory"
    assert any(line.startswith("the ID test set: Median over GRPO, nano-0.6M: +10.00 points") for line in made.verdicts)
    assert any("excludes zero in 1 of 1 comparison more; about 0.1 would" in line for line in made.verdicts)


def test_a_claim_may_compare_any_two_methods(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs([["median over gapo_grpo on val/id/em"]]))
    assert verdicts(made)["Median over GAPO (G)"] == "worse"
    assert not any("not answered here" in line for line in made.missing)
    # on the other test set nobody asked for it
    assert "Median over GAPO (G)" not in verdicts(made, "comparisons_ood")


def test_two_methods_are_compared_once_in_the_direction_of_the_claim(empty_mlflow, tmp_path):
    """A control is compared with GAPO (G) in every report; a claim of GAPO (G) over the control says the same."""
    found = runs([["gapo_grpo over gapo_centred on val/id/em"]], ("grpo", "gapo_centred", "gapo_grpo"))
    made = report(empty_mlflow, tmp_path, found)
    assert "GAPO (G) over GAPO (G), centred" in verdicts(made)
    assert "GAPO (G), centred over GAPO (G)" not in verdicts(made)
    assert "GAPO (G), centred over GAPO (G)" in verdicts(made, "comparisons_ood")


def test_the_front_has_a_sentence_a_claim_and_the_main_table(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs([[LINE, "median over grpo on val/ood/em"]]))
    first, second = made.claims
    better = "Median is better than GRPO: +10.00 points, 95% interval [+7.69, +12.31]"
    assert first.startswith(f"On the ID test set, {better}")
    assert first.endswith("5 seeds a method; corrected p <0.001.") and second.startswith("On the OOD test set, ")
    assert made.main_table.name == "table2" and made.main_picture is None
    front = html.page(made, ()).partition("<details")[0]
    assert first in unescape(front) and 'id="table2"' in front and 'id="table4"' not in front


def test_a_study_of_ones_own_has_numbers_of_its_own(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs([[LINE]]))
    papers = replace(made, is_papers=True)
    assert made.tables[0] is made.main_table and "Table 1. Exact match" in html.page(made, ())
    assert "Table 2. Exact match" in html.page(papers, ()) and "paper's numbers" not in html.page(made, ())
    assert r"\renewcommand{\thetable}{1}\input{table2}" in latex.document(made)
    assert "**Table 1.**" in markdown.page(made, "img") and "**Table 2.**" in markdown.page(papers, "img")


def test_a_phone_shows_each_comparison_with_its_verdict_beside_its_difference(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs([[LINE]]))
    table = next(one for one in made.tables if one.name == "comparisons_id")
    assert heads(table)[:3] == ["difference", "95% interval", "verdict"]
    page = html.page(made, ())
    assert '<td data-head="verdict">' in page[page.index('<table id="comparisons_id">') :].partition("</table>")[0]
    assert "data-head" not in page[page.index('<table id="table2">') :].partition("</table>")[0]


def test_a_bare_tabular_is_the_table_without_its_float(empty_mlflow, tmp_path):
    table = report(empty_mlflow, tmp_path, runs([[LINE]])).main_table
    bare, whole = latex.bare(table), latex.table(table)
    tabular = bare[bare.index("  \\begin{tabular}") :].strip()
    assert tabular in whole and tabular.endswith("\\end{tabular}") and "caption" not in tabular
    assert all(line.startswith("%") for line in bare[: bare.index("  \\begin{tabular}")].splitlines())


def test_figures_can_be_in_the_font_of_a_paper():
    def drawn(name):
        with drawing.font(name):
            figure = Figure()
            figure.text(0.1, 0.1, "exact match")
            return drawing.render(drawing.Drawing("figure3", "", figure)).pdf

    assert b"STIX" in drawn("paper") and b"STIX" not in drawn("screen")


def test_without_claims_the_papers_are_tested_and_a_slice_decides_nothing(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs())
    # GAPO (D) did not run: the paper's family on the test set stays open, and so does the one behind it
    assert verdicts(made) == {"GAPO (G) over GRPO": "better", "Median over GRPO": "exploratory"}
    assert verdicts(made, "comparisons_ood")["GAPO (G) over GRPO"] == "not decided"
    sliced = report(empty_mlflow, tmp_path, runs(), metric="val/ood/em")
    assert set(verdicts(sliced, next(t.name for t in sliced.tables if t.name.startswith("comp"))).values()) == {
        "exploratory"
    }


def test_an_open_claim_says_what_it_could_see_and_what_it_would_take(empty_mlflow, tmp_path):
    found = runs([[LINE]])
    for run in found:  # medians that hardly differ from GRPO's
        run["points"]["val/id/em"][10] = 0.4 + 0.01 * (run["seed"] * 2 % 5) + 0.004 * (run["algo"] == "median")
    made = report(empty_mlflow, tmp_path, found)
    (line,) = [line for line in made.verdicts if "power of" in line]
    sd = 0.01 * 2.5**0.5
    seen = 100 * visible(5) * sd
    assert f"5 seeds a method find a difference of {seen:.2f} points in 80% of studies" in line
    needed = int(re.search(r"The difference found here, \+0\.40, would take (\d+) seeds: ", line)[1])
    assert abs(needed - seeds_needed(0.004, sd)) <= 1 and line.endswith(f"{2 * (needed - 5):,} more runs")


@pytest.mark.parametrize(("backend", "hours"), [("vllm", "GPU-hours"), ("cpu", "hours")])
def test_what_more_seeds_take_is_told_in_hours_where_runs_have_said_how_long_they_took(
    empty_mlflow, tmp_path, backend, hours
):
    found = runs([[LINE]])
    for run in found:
        run["points"]["val/id/em"][10] = 0.4 + 0.01 * (run["seed"] * 2 % 5) + 0.004 * (run["algo"] == "median")
        # two steps of half an hour on 8 GPUs
        for name, value in (("total_num_tokens", 1800 * 8 * 50.0), ("time_per_step", 1800.0), ("throughput", 50.0)):
            run["points"][f"perf/{name}"] = {5: value, 10: value}
        run["backend"] = backend
    (line,) = [line for line in report(empty_mlflow, tmp_path, found).verdicts if "power of" in line]
    more = int(re.search(r"([\d,]+) more runs", line)[1].replace(",", ""))
    asked = two_digits(more * (8 if backend == "vllm" else 1))
    assert line.endswith(f", about {asked} {hours} of training steps")


def test_a_claim_is_a_bet_that_may_be_looked_at_after_every_seed(empty_mlflow, tmp_path):
    made = report(empty_mlflow, tmp_path, runs([[LINE, "gapo_grpo over grpo on val/ood/em"]]))
    (line,) = next(one for one in made.tables if one.name == "comparisons_seeds_id").lines
    # five equal differences have no scale to bet on
    assert [entry.text for entry in line.entries] == ["+10.00", "open", "1.00", "40", "–", "5"]
    found = runs([[LINE]])
    for run in found:
        run["points"]["val/id/em"][10] += 0.001 * run["seed"] * (run["algo"] == "median")
    (line,) = next(
        one for one in report(empty_mlflow, tmp_path, found).tables if one.name == "comparisons_seeds_id"
    ).lines
    wanted = bet([0.1 + 0.001 * seed for seed in range(5)])
    assert line.entries[2].value == pytest.approx(wanted.e) and line.entries[1].text == "better"
    assert line.entries[4].text == f"[{100 * wanted.low:+.2f}, {100 * wanted.high:+.2f}]"


def test_an_empty_list_claims_nothing(empty_mlflow, tmp_path):
    assert set(verdicts(report(empty_mlflow, tmp_path, runs([[]]))).values()) == {"exploratory"}


def test_what_is_named_later_or_cannot_be_answered_is_said(empty_mlflow, tmp_path):
    first, later = [LINE, "krpo over grpo on val/id/em"], ["gapo_grpo over grpo on val/id/em"]
    made = report(empty_mlflow, tmp_path, runs([first, later]))
    assert verdicts(made)["GAPO (G) over GRPO"] == "exploratory"
    said = "\n".join(made.missing)
    assert "claim krpo over grpo on val/id/em: not answered here" in said
    assert "claim gapo_grpo over grpo on val/id/em: named after the first runs" in said


def test_claims_are_part_of_the_run_folder_and_not_of_the_key():
    plain, claimed = (compose_run(["algo=median", *words]) for words in ([], [f"claims=['{LINE}']"]))
    check(claimed)
    spec = make_spec(claimed)
    assert spec.key == make_spec(plain).key and spec.as_dict()["claims"] == [LINE]
    assert "claims" not in make_spec(plain).as_dict()
    assert json.loads(mapping.tags(spec.as_dict(), Provenance(), RunStatus())["gapo.claims"]) == [LINE]
    with pytest.raises(UserError, match="median beats grpo: must be METHOD over BASELINE on METRIC"):
        check(compose_run(["claims=['median beats grpo']"]))
