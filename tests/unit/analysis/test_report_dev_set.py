"""What a report takes from the dev set: which curves are fitted, and which it hands on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.report.dev_set import fitted, on_dev_set
from analysis.report.options import Asked
from analysis.results.curves import Curve
from analysis.results.measurements import measure
from analysis.results.runs import Run, select
from analysis.statistics.scaling import Fit
from analysis.tables import paper

STEPS = np.arange(0, 201, 20)
TESTED, DEV = {"grpo": 0.5, "gapo_grpo": 0.5}, {"grpo": 0.6, "gapo_grpo": 0.7}


def made(tested: str = "em", without_dev: str = "", **words):
    """The tables, and what was measured on the dev set, of two methods with two seeds whose curves have these tops."""
    names = {f"{algo}{seed}": (algo, seed) for algo in TESTED for seed in range(2)}
    runs = [
        Run(name, "s", "", name, "FINISHED", seed, {"model": "nano", "algo": algo, "seed": str(seed)})
        for name, (algo, seed) in names.items()
    ]
    curves = {
        f"val/{where}/{tested}": {
            name: Curve(STEPS, Fit(0.2, tops[algo] + seed / 1000, 1.5, 80.0, 0.0).at(STEPS))
            for name, (algo, seed) in names.items()
            if where != "dev" or name != without_dev
        }
        for where, tops in (("id", TESTED), ("ood", TESTED), ("dev", DEV))
    }
    source = SimpleNamespace(curves=lambda ids, name: curves.get(name, {}))
    asked, selection = Asked(studies=("s",), **words), select(runs)
    drawn = {}
    for metric in asked.metrics:
        measured = measure(source, selection, metric, exactly=asked.metric is not None)
        drawn[metric] = paper.results(selection.cells, measured, range(2))
    return fitted(source, asked, selection, drawn), on_dev_set(source, asked, selection, drawn)


def ceilings(table) -> list[float]:
    return [line.entries[0].value for line in table.lines]


@pytest.mark.parametrize(
    ("tested", "words", "name"),
    [
        ("em", {}, "statistics_curves_dev"),
        ("acc", {"tests": ("val/id/acc", "val/ood/acc")}, "statistics_curves_dev"),
        ("em_greedy", {"metric": "val/ood/em_greedy"}, "statistics_curves_algo_by_model_val_ood_em_greedy"),
    ],
)
def test_it_is_the_dev_curve_where_every_run_has_one(tested, words, name):
    (table,), (measured,) = made(tested, **words)
    assert table.name == name and "on the dev set" in table.title and measured.metric == f"val/dev/{tested}"
    assert ceilings(table) == pytest.approx([60, 70], abs=0.5)


def test_without_a_dev_set_of_every_run_it_is_the_curve_of_each_test_set():
    tables, measured = made(without_dev="grpo1")
    assert [table.name for table in tables] == ["statistics_curves_id", "statistics_curves_ood"]
    assert [one.name for one in measured] == ["val/dev/em"]
    assert all(ceilings(table) == pytest.approx([50, 50], abs=0.5) for table in tables)


def test_a_report_on_the_dev_set_has_its_own_curve():
    (table,), measured = made(metric="val/dev/em")
    assert ceilings(table) == pytest.approx([60, 70], abs=0.5) and not measured
