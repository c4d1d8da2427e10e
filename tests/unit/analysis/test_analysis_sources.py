"""Run folders and MLflow as sources of a report: the same runs, the same curves, the same bytes."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import yaml
from trained_runs import finish, start, train, trained

from analysis import report
from analysis.report import build
from analysis.report.options import Asked
from analysis.results import runs as counting
from analysis.sources import connect
from analysis.sources.run_folders import RunFolders
from gapo_lab.errors import UserError
from gapo_lab.runs import config_text
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import mapping
from gapo_lab.tracking.copy_runs import copy_all
from gapo_lab.utils.dotted import flatten

pytestmark = pytest.mark.slow  # whole reports


def copied(root: Path = Path("runs")) -> None:
    folders = [RunFolder(path.parent) for path in sorted(root.glob("*/spec.yaml"))]
    for result in copy_all(folders).values():
        if isinstance(result, Exception):
            raise result


def odd_runs(root: Path) -> None:
    """Whatever a study may hold: resumed, failed, running, damaged numbers, repeated, asked for by another study."""
    trained(root, "a0", seed=0)
    resumed = start(root, "a1", seed=1)
    train(resumed, range(4), began=2000)
    resumed.start_attempt()  # goes on from step 2, after what came later was given up
    train(resumed, [2, 3, 4], gain=0.05, began=3000)
    finish(resumed)
    odd = start(root, "a2", seed=2)
    train(odd, range(3), began=2500)
    odd.attempts()[-1].append_metrics(3, {"val/id/em": math.nan, "val/ood/em": math.inf}, now=2600)
    finish(odd)
    trained(root, "b2", seed=2, gain=0.1, began=4000)  # the same cell and seed again: the newer counts
    failed = start(root, "c0", seed=0, algo="dapo")
    failed.write_status(state="failed", message="CUDA out of memory. Tried to allocate")
    killed = start(root, "c1", seed=1, algo="dapo")
    killed.write_status(state="failed", cause="killed", message="killed by signal 9\nlow on memory, it says")
    pruned = start(root, "c2", seed=2, algo="dapo")
    pruned.write_status(state="interrupted", cause="pruned", message="told to end")
    train(start(root, "d3", seed=3), range(2), began=5000)
    trained(root, "e0", seed=0, algo="gapo_grpo", tau=0.5, study="first", began=900)
    (root / ".studies").mkdir()
    (root / ".studies" / "s.json").write_text(json.dumps(["a0", "a1", "a2", "b2", "c0", "c1", "c2", "d3", "e0"]))


def told(source, names=("s",)) -> list[tuple]:
    """All that a report reads of a run."""
    found = connect.find_runs(source, names, Path("runs"))
    found = sorted((run for run in found if run.is_trial), key=lambda run: run.identity)
    return [
        (
            run.identity,
            run.study,
            run.name,
            run.status,
            run.start,
            dict(run.params),
            run.cell,
            run.commit,
            run.is_dirty,
            run.host,
            run.message,
            run.cause,
            run.why_not,
            run.is_rehearsal,
        )
        for run in found
    ]


def test_both_sources_tell_the_same_of_every_run(place, database):
    odd_runs(Path("runs"))
    copied()
    folders, copies = RunFolders(Path("runs")), connect.connect()
    assert told(folders) == told(copies) and len(told(folders)) == 9
    causes = {run.identity: run.cause for run in connect.find_runs(copies, ["s"], Path("runs")) if run.cause}
    # the first one's status names none: its message does
    assert causes == {"c0": "out of memory", "c1": "killed", "c2": "pruned"}
    chosen = [counting.select(connect.find_runs(one, ["s"], Path("runs"))) for one in (folders, copies)]
    assert chosen[0].left_out == chosen[1].left_out
    for name in (
        "val/id/em",
        "val/ood/em",
        "odd_at_name",
        "best/id/em",
        "final/step",
        "wall_seconds",
        "never/logged",
    ):
        curves = [
            {
                run.identity: (c.steps.tolist(), c.values.tolist())
                for run in picked.runs
                for c in [source.curves([r.id for r in picked.runs], name).get(run.id)]
                if c
            }
            for source, picked in zip((folders, copies), chosen, strict=True)
        ]
        assert curves[0] == curves[1], name
    assert folders.metrics(["a0"]) == copies.metrics([r.id for r in chosen[1].runs if r.identity == "a0"])


def reported(*words: str) -> int:
    return report.main([*words, "--no-log"])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_needs_no_mlflow(study, capsys):
    assert reported("both", "--no-figures") == 0
    said = capsys.readouterr().out
    assert "12 runs from the run folders in runs" in said and not Path("mlflow.db").exists()
    assert 'href="../../runs/' in Path("reports/both/report.html").read_text()


@pytest.mark.slow
def test_run_folders_and_mlflow_give_the_same_bytes(study, empty_mlflow, capsys):
    shutil.copy(empty_mlflow, "mlflow.db")
    copied()
    for words in (
        ["both", "first", "--spread"],
        ["both", "--rows", "algo,tau,noise", "--metric", "best/id/em"],
    ):
        assert reported(*words, "--out", "ours", "--markdown", "ours.md") == 0
        assert reported(*words, "--out", "theirs", "--markdown", "theirs.md", "--uri", "sqlite:///mlflow.db") == 0
        ours, theirs = files(Path("ours")), files(Path("theirs"))
        assert ours.keys() == theirs.keys() and {"tidy.parquet", "report.html"} < ours.keys()
        assert [name for name in ours if ours[name] != theirs[name]] == []
        assert Path("ours.md").read_text().replace("img/ours", "img/theirs") == Path("theirs.md").read_text()
        assert {"noise_id.tex", "tau_id.tex", "comparisons_lost_id.tex"} < ours.keys() or "--rows" in words
        shutil.rmtree("ours")
        shutil.rmtree("theirs")


def test_a_study_that_shares_all_of_its_runs_has_a_report(study, capsys):
    keys = json.loads(Path("runs/.studies/first.json").read_text())
    Path("runs/.studies/again.json").write_text(json.dumps(keys))
    assert reported("again", "--no-figures") == 0
    assert "4 runs from the run folders" in capsys.readouterr().out


def test_where_runs_are_read_from(study, empty_mlflow, capsys):
    def error(*words: str) -> str:
        assert reported(*words) == 2
        return capsys.readouterr().err

    nowhere = error("bot", "--no-figures")
    assert "neither in the run folders in runs nor in MLflow (" in nowhere and "did you mean both?" in nowhere
    assert "--runs" in nowhere and "gapo_lab sync" in nowhere
    shutil.copy(empty_mlflow, "mlflow.db")
    assert "or copy them: python -m gapo_lab sync both" in error("both", "--source", "mlflow")
    assert "no study both in the run folders in nothing: there are: none." in error(
        "both", "--source", "runs", "--runs", "nothing"
    )
    copied()
    shutil.move("runs", "elsewhere")
    assert reported("both", "--no-figures") == 0
    assert "12 runs from MLflow at sqlite:///mlflow.db" in capsys.readouterr().out
    assert reported("both", "--no-figures", "--runs", "elsewhere") == 0
    assert "12 runs from the run folders in elsewhere" in capsys.readouterr().out


def test_a_report_is_logged_where_mlflow_knows_the_study(study, empty_mlflow, capsys):
    assert report.main(["first", "--no-figures"]) == 0
    assert "not logged to MLflow: " in capsys.readouterr().out and not Path("mlflow.db").exists()
    shutil.copy(empty_mlflow, "mlflow.db")
    assert report.main(["first", "--no-figures"]) == 0
    assert "python -m gapo_lab sync first" in capsys.readouterr().out
    copied()
    assert report.main(["first", "--no-figures"]) == 0
    assert "logged to MLflow: run 'report' of first" in capsys.readouterr().out


def test_damaged_run_folders_are_left_out_and_said(place):
    for seed in range(2):
        trained(Path("runs"), f"a{seed}", seed=seed)
    for key, file, text in (
        ("b0", "summary.json", "[1]"),
        ("b1", "status.json", "{"),
        ("b2", "spec.yaml", "study: s\nmodel: ["),
    ):
        trained(Path("runs"), key, seed=5)
        (Path("runs") / key / file).write_text(text)
    made = build.build(RunFolders(Path("runs")), Asked(studies=("s",), figures=False)).document
    assert [sum(f"run {key} left out" in line for line in made.missing) for key in ("a0", "b0", "b1", "b2")] == [
        0,
        1,
        1,
        1,
    ]


def test_a_damaged_metrics_file_is_named_with_its_line(place):
    folder = trained(Path("runs"), "a0")
    with open(folder.attempts()[-1].metrics_path, "a") as file:
        file.write("no json\n")
    with pytest.raises(UserError, match=r"metrics.jsonl:5 is no metrics row"):
        build.build(RunFolders(Path("runs")), Asked(studies=("s",), figures=False))


def test_each_metrics_file_is_read_once(study, monkeypatch):
    read: list[Path] = []
    rows = Attempt.rows
    monkeypatch.setattr(Attempt, "rows", lambda self, *words: read.append(self.metrics_path) or rows(self, *words))
    asked = Asked(studies=("both",))
    build.build(connect.choose(asked.studies, asked.runs_root, expected=asked.all_metrics), asked)
    assert len(read) == len(set(read)) == 12


def test_settings_are_found_without_parsing_the_config(study):
    """As the whole parser reads them, and where a person has rewritten the file by the whole parser."""
    text = next(Path("runs").glob("*/config.yaml")).read_text()
    whole = flatten(yaml.safe_load(text))
    found = config_text._scan(text, whole.keys())
    assert len(found) > 900 and found == {key: whole[key] for key in found}
    assert config_text._scan(text, mapping.SETTINGS.values()).keys() == set(mapping.SETTINGS.values())
    rewritten = yaml.safe_dump(yaml.safe_load(text), default_flow_style=True)
    assert config_text.pick(rewritten, ["data.id_size", "trainer.nnodes"]) == config_text.pick(
        text, ["data.id_size", "trainer.nnodes"]
    )
