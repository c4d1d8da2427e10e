"""What a published table's differences are worth, on tables whose answer is known by hand, and on the paper's."""

from __future__ import annotations

import math

import pytest

from analysis import check
from analysis.check import uncertainty
from analysis.check.misprints import possible_share
from analysis.paper import published
from analysis.paper.published import Delta, Published

DELTA = Delta("Improve.", "gapo_grpo", "grpo", "points", (1.0, 3.0))
ROWS = {"gmpo": (10.3, 20.0), "krpo": (10.3, 20.4), "grpo": (10.0, 20.0), "gapo_grpo": (11.0, 23.0)}
MEANS = Published("9", "accuracy", ("nano", "nano_large"), ROWS, (DELTA,), "val/id/em", 1000, 5)
SINGLE = Published("8", "accuracy", ("nano",), {"grpo": (20.0,), "gapo_grpo": (26.0,)}, (DELTA,), "", 100, 1)


def test_placebos_are_the_other_methods_beside_their_baseline():
    assert sorted(uncertainty.placebos(MEANS)) == pytest.approx([0.0, 0.3, 0.3, 0.4])
    assert uncertainty.root_mean_square([3.0, 4.0]) == pytest.approx(math.sqrt(12.5))
    assert uncertainty.placebos(SINGLE) == []


def test_a_difference_of_means_stands_out_up_to_a_spread_of_seeds():
    small, large = uncertainty.claims(MEANS)
    size = uncertainty.root_mean_square(uncertainty.placebos(MEANS))
    assert (small.value, large.value) == pytest.approx((1.0, 3.0)) and large.placebos == pytest.approx(3 / size)
    assert small.largest_sd == pytest.approx(1 / (1.96 * math.sqrt(0.4))) and small.cases is None
    assert uncertainty.z(small, 0.5) == pytest.approx(1 / math.sqrt(2 * 0.25 / 5))


def test_of_single_trials_the_cases_count():
    (claim,) = uncertainty.claims(SINGLE)
    assert claim.cases == 6 and claim.p == pytest.approx(2 / 64) and math.isnan(claim.largest_sd)


def test_equal_columns_are_found_and_held_against_chance():
    assert ("gmpo", "krpo", ["nano"]) in uncertainty.equal_cells(MEANS)
    assert ("gmpo", "grpo", ["nano_large"]) in uncertainty.equal_cells(MEANS)
    size = uncertainty.root_mean_square(uncertainty.placebos(MEANS))
    assert uncertainty.equal_by_chance(MEANS) == pytest.approx(0.02 / size / math.sqrt(2 * math.pi), rel=0.01)


def test_what_chance_lets_pass():
    assert possible_share(3897, 5) == 1.0 and possible_share(100) == pytest.approx(101 / 10_001)
    assert uncertainty.binomial_tail(2, 3, 0.5) == pytest.approx(0.5) and uncertainty.binomial_tail(0, 3, 0.1) == 1


def test_the_papers_tables(capsys):
    """Numbers of a referee, by another program: 26 placebo differences, rms .23, gains from 2.3 times that on."""
    two, four = (published.load(published.FOLDER / f"table{number}.yaml") for number in (2, 4))
    assert len(uncertainty.placebos(two)) == 26 and uncertainty.root_mean_square(
        uncertainty.placebos(two)
    ) == pytest.approx(0.23, abs=0.005)
    assert min(claim.placebos for claim in uncertainty.claims(two)) == pytest.approx(2.3, abs=0.05)
    assert uncertainty.root_mean_square(uncertainty.placebos(four)) * 1.32 == pytest.approx(1.0, abs=0.01), "one case"
    assert {claim.cases for claim in uncertainty.claims(four)} == {3, 4, 5, 7}
    assert [round(claim.p, 3) for claim in uncertainty.claims(four) if claim.p <= 0.05] == [0.016]
    assert ("gmpo", "krpo", ["qwen_coder_14b", "deepseek_coder_6_7b"]) in uncertainty.equal_cells(two)
    assert check.main(["paper"]) == 0
    out = capsys.readouterr().out
    for number in ("2", "5"):
        assert f"table {number}: no power to check cells" in out
    assert "31 of 32 cells can be single runs on 132 cases" in out and "(p 7e-21)" in out
    assert "GMPO and KRPO print the same in 2 of 9 columns" in out and "- seed sd: " in out
    lines = [line for line in out.splitlines() if line.lstrip().startswith("2  GAPO")]
    assert len(lines) == 17 and sum(line.endswith("yes") for line in lines) == 10
