"""The page of a study's first stage: what each method was tuned by (`+sweep=fair`)."""

from pathlib import Path

import numpy as np
import pytest
from rehearsed_runs import BEST_TAU, rehearse

from analysis.report import build
from analysis.report.options import Asked
from analysis.results.curves import Curve
from analysis.results.measurements import Measured, Trials, once_trained
from analysis.results.runs import Run, select
from analysis.sources.run_folders import RunFolders
from analysis.tables import tuning

RATE = "actor_rollout_ref.actor.optim.lr"
SEEDS = ("seed=1000", "seed=1001")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tuned") / "runs"
    rehearse(root, "mine", ("algo=grpo", "algo=gapo_grpo"), ("tau=0.4",), ("seed=0", "seed=1"))
    rehearse(root, "mine_tuning", ("algo=gapo_grpo",), ("tau=0.2", "tau=0.4", "tau=0.6"), SEEDS)
    rehearse(root, "mine_tuning", ("algo=grpo",), (f"{RATE}=1e-4", f"{RATE}=4e-4"), SEEDS)
    rehearse(root, "edge", ("algo=gapo_grpo",), ("tau=0.4",), ("seed=0", "seed=1"))
    rehearse(root, "edge_tuning", ("algo=gapo_grpo",), ("tau=0.5", "tau=0.7", "tau=0.9"), SEEDS)
    return root


def report(root: Path, *studies: str, **asked: object) -> build.Report:
    return build.build(RunFolders(root), Asked(studies=studies, runs_root=root, **asked))


def lines(found: build.Report) -> dict[str, str]:
    (table,) = [table for table in found.document.tables if table.name == "tuning"]
    return {line.label: "".join(line.entries[0].marks) for line in table.lines}


def test_the_best_setting_of_each_method_on_the_dev_set_is_marked(runs: Path) -> None:
    assert BEST_TAU == 0.4
    found = lines(report(runs, "mine", figures=False))
    assert {label: marks for label, marks in found.items() if "GAPO" in label} == {
        "nano-0.6M GAPO (G), tau=0.2": "",
        "nano-0.6M GAPO (G), tau=0.4": "*",
        "nano-0.6M GAPO (G), tau=0.6": "",
    }
    assert sorted(marks for label, marks in found.items() if "GAPO" not in label) == ["", "*"]


def test_a_choice_at_the_edge_is_marked_and_said(runs: Path) -> None:
    found = report(runs, "edge", figures=False)
    assert lines(found)["nano-0.6M GAPO (G), tau=0.5"] == "*!"
    said = [line for line in found.document.missing if "edge" in line]
    assert said == [
        "GAPO (G) on nano-0.6M: tau=0.5 is at the edge of the 3 settings tried; values beyond it may be better"
    ]


def test_a_setting_that_makes_the_model_worse_has_no_value_of_before_training() -> None:
    run = Run("r0", "s", "", "r0", "FINISHED", 0, {"model": "nano", "algo": "grpo", "seed": "1000"})
    (cell,) = select([run]).cells
    curve = Curve(np.array([0, 10, 20]), np.array([0.2, 0.1, 0.17]))
    found = once_trained(Measured("val/dev/em", "dev", {cell.id: Trials(cell, {1000: curve}, {1000: 0.2})}))
    assert found.by_cell[cell.id].values == {1000: 0.17} and found.by_cell[cell.id].steps == {1000: 20}


def test_a_setting_at_its_default_is_not_told() -> None:
    tried = ({"lr": "0.0003"}, {"lr": "0.0005"}, {"lr": "0.0005", "quantile": "0.6"})
    runs = [
        Run(f"r{n}", "s", "", f"r{n}", "FINISHED", n, {"model": "nano", "algo": "qae", "seed": "1000", **params})
        for n, params in enumerate(tried)
    ]
    selection = select(runs)
    values = {cell.id: Trials(cell, {}, {1000: 0.5}) for cell in selection.cells}
    (settings,) = tuning.tuned(selection, Measured("val/dev/em", "final", values)).settings.values()
    assert {one.words for one in settings} == {("lr=0.0003",), ("lr=0.0005",), ("lr=0.0005", "quantile=0.6")}


def test_the_numbers_are_those_of_the_dev_set_at_the_best_step(runs: Path) -> None:
    found = report(runs, "mine", figures=False)
    (table,) = [table for table in found.document.tables if table.name == "tuning"]
    folders = RunFolders(runs)
    for line in table.lines:
        (value,) = [entry.value for entry in line.entries[:1]]
        alike = [
            run
            for run in folders.runs({"mine_tuning": "mine_tuning"})
            if f"tau={run.params.get('tau')}" in line.label or f"lr={run.params['lr']}" in line.label
        ]
        best = [max(folders.curves([run.id], "val/dev/em_expected")[run.id].values) for run in alike]
        assert len(best) == 2
        assert value == pytest.approx(100 * sum(best) / 2)


@pytest.mark.slow  # it draws all figures of two reports
def test_the_figure_has_the_methods_that_were_tried_at_several_rates(runs: Path) -> None:
    names = [picture.name for picture in report(runs, "mine").document.pictures]
    assert "figureS3" in names
    assert "figureS3" not in [picture.name for picture in report(runs, "edge").document.pictures]


def test_tuning_runs_of_another_length_than_the_comparison_do_not_count(runs: Path) -> None:
    """Those of an earlier form of the sweep, which was called the same."""
    rehearse(runs, "cut", ("algo=grpo",), ("seed=0", "seed=1"))
    rates = (f"{RATE}=1e-4", f"{RATE}=3e-4")
    rehearse(runs, "cut_tuning", ("algo=grpo",), (f"{RATE}=7e-4",), ("trainer.total_training_steps=9",), SEEDS)
    rehearse(runs, "cut_tuning", ("algo=grpo",), rates, SEEDS)
    found = report(runs, "cut", figures=False)
    assert list(lines(found)) == ["nano-0.6M GRPO, lr=0.0001", "nano-0.6M GRPO, lr=0.0003"]
    assert [line for line in found.document.missing if "tuning" in line] == [
        "2 runs of the tuning on other data or with other steps than the comparison: left out"
    ]


def test_a_study_of_one_stage_and_a_slice_have_no_such_page(runs: Path) -> None:
    assert tuning.tables(tuning.Tuned()) == []
    rehearse(runs, "one", ("algo=gapo_grpo",), ("tau=0.4",), ("seed=0",))
    for asked in (report(runs, "one", figures=False), report(runs, "mine", rows=("algo", "tau"))):
        assert not [table for table in asked.document.tables if table.name == "tuning"]
