"""The end of a sweep says what its cells measured, and what to do next."""

from __future__ import annotations

import pytest

from gapo_lab.config.fast_compose import Composer
from gapo_lab.launch import study_end
from gapo_lab.planning.plan import draft


@pytest.fixture(scope="module")
def runs():
    cells = [(f"algo={algo}", f"seed={seed}", "study=first") for algo in ("grpo", "gapo_grpo") for seed in (0, 1)]
    return draft(cells, Composer())


def summary(value: float, **more: float) -> dict[str, float]:
    return {f"final/{where}/em": value for where in ("id", "dev", "ood")} | more


def test_means_of_the_cells_and_the_next_commands(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {run.key: summary(0.1 * number) for number, run in enumerate(runs[:3])}
    first, second, *rest = study_end.lines(runs, found, tmp_path / "runs")
    assert first == "nano grpo: em ID 5.0%, OOD 5.0%, mean of 2 runs at the last step"
    assert second.startswith("nano gapo_grpo tau=0.5: em ID 20.0%, OOD 20.0%, mean of 1 run")
    assert rest == [
        "all runs: python -m gapo_lab status first",
        "tables and statistics: python -m analysis.report first",
    ]


def test_one_run_alone_and_a_sweep_that_was_only_handed_over_say_nothing(runs, tmp_path):
    assert list(study_end.lines(runs[:1], {runs[0].key: summary(0.1)}, tmp_path)) == []
    assert list(study_end.lines(runs, {}, tmp_path)) == []


def test_expected_exact_match_where_all_have_it():
    expected = summary(0.1, **{"final/id/em_expected": 0.2, "final/ood/em_expected": 0.3})
    assert study_end.last(expected) == "em_expected ID 20.0%, OOD 30.0%"
    assert study_end.last(expected, summary(0.3)) == "em ID 20.0%, OOD 20.0%"
    assert study_end.last({"final/id/acc": 0.5}) == "acc ID 50.0%"
    assert study_end.last({}) == study_end.last({"final/id/acc": 0.5}, summary(0.1)) == ""
