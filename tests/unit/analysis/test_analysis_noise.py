"""Noise on the rewards in a report: tables and figures by noise, and the rewards before training in numbers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from analysis_database import Database

from analysis import report
from analysis.figures import reward_noise, rewards
from analysis.render import markdown
from analysis.report import build
from analysis.report.options import Asked
from analysis.sources import connect
from analysis.tables.document import Document
from gapo_lab.errors import UserError
from gapo_lab.rewards import outliers

LEVELS = {"nano": (0, 0.1, 0.2), "nano_large": (0,)}


def study(seeds: int = 4) -> list[dict]:
    """GRPO loses a point for each percent of noise, GAPO half of that; dapo and its kin the same, one below."""
    out = []
    for model, levels in LEVELS.items():
        for algo in ("grpo", "gapo_grpo", "dapo", "gapo_dapo"):
            for level in levels:
                for seed in range(seeds):
                    lost = level * (0.5 if "gapo" in algo else 1) + 0.01 * ("dapo" in algo)
                    value = 0.5 - lost + 0.002 * ((seed * 3 + len(algo)) % 5)
                    said = {"noise": f"{level:g}"} if level or model == "nano" else {}
                    out.append(
                        {
                            "study": "s",
                            "model": model,
                            "algo": algo,
                            "seed": seed,
                            "rollouts": 8,
                            **said,
                            "key": f"{model}-{algo}-{level:g}-{seed}",
                            "tau": 0.5 if "gapo" in algo else None,
                            "points": {
                                "val/id/em": {0: 0.25, 10: value},
                                "val/ood/em": {0: 0.1, 10: value / 2},
                                "actor/pg_clipfrac": {1: 0.01},
                                "perf/throughput": {1: 100.0},
                            },
                        }
                    )
    return out


def rollouts(root: Path, runs: list[dict]) -> None:
    """What each run's first step left: right-skewed groups, with the run's noise."""
    for run in runs:
        rng, share = np.random.default_rng(run["seed"]), float(run.get("noise", 0))
        rows = []
        for prompt in range(32):
            true = np.clip(rng.beta(2, 5, 8) / 2, 0, 0.49) if prompt % 8 else np.full(8, 1.0)
            for n, reward in enumerate(true):
                hit = outliers.is_replaced(share, run["seed"], 1, str(prompt), n)
                seen = outliers.outlier(reward) if hit else reward
                rows.append(
                    {
                        "uid": f"p{prompt}_{n}_0",
                        "score": float(seen) - ("dapo" in run["algo"]),
                        "input": str(prompt),
                    }
                )
        folder = root / run["key"] / "attempts" / "1" / "generations" / "train"
        folder.mkdir(parents=True)
        (folder / "1.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(scope="module")
def made(empty_mlflow, tmp_path_factory) -> Path:
    """A folder with the study in MLflow and its first rollouts; nobody changes it."""
    folder, runs = tmp_path_factory.mktemp("noise"), study()
    Database(empty_mlflow, folder / "mlflow.db").add(runs)
    rollouts(folder / "runs", runs)
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    """A working folder with a copy of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def plain(made) -> Document:
    """The report of the study, without figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return build.build(connect.connect(None), Asked(studies=("s",), figures=False)).document


@pytest.mark.slow
def test_a_report_shows_noise_beside_the_papers_tables(place, capsys):
    assert report.main(["s", "--no-log"]) == 0
    assert "not among those without noise" not in capsys.readouterr().out  # it has tables of its own
    files = {path.name for path in (place / "reports" / "s").iterdir()}
    wanted = ("table2", "noise_id", "noise_ood", "comparisons_noise_id", "rewards")
    assert {f"{name}.csv" for name in wanted} | {"figureS1.png", "figureS2.png", "figure1.png"} <= files


def test_a_run_whose_first_attempt_ended_before_a_step_has_its_rewards_too(place):
    attempts = place / "runs" / "nano-gapo_grpo-0-0" / "attempts"
    (attempts / "1").rename(attempts / "2")
    (attempts / "1" / "generations" / "train").mkdir(parents=True)
    path = rewards.first_generations(place / "runs", ["nano-gapo_grpo-0-0"])
    assert path == attempts / "2" / "generations" / "train" / "1.jsonl"


def test_noise_that_no_table_shows_is_said_to_be_left_out(place, capsys):
    assert report.main(["s", "--no-log", "--metric", "val/id/em"]) == 0
    assert "noise=0.1, 0.2: not among those without noise" in capsys.readouterr().out


def test_the_papers_tables_hold_no_noise_and_the_others_every_level(plain):
    tables = {one.name: one for one in plain.tables}
    labels = {line.label: line for line in tables["table2"].lines}
    assert [e.value for e in labels["GRPO"].entries] == pytest.approx([50.45, 50.45])
    by_noise = {
        line.label: [e.value for e in line.entries] for line in tables["noise_id"].lines if line.kind == "value"
    }
    grpo, gapo = by_noise["GRPO"], by_noise["GAPO (G)"]
    assert grpo == pytest.approx([50.45, 40.45, 30.45]) and gapo == pytest.approx([gapo[0], gapo[0] - 5, gapo[0] - 10])
    assert tables["noise_id"].header[-1] == (("noise 0%", 1), ("noise 10%", 1), ("noise 20%", 1))
    compared = [line.label for line in tables["comparisons_noise_id"].lines]
    assert "nano noise=0.1: GAPO (G) over GRPO" in compared and not any("all models" in one for one in compared)


def test_noise_is_judged_at_its_level_and_by_what_is_lost_to_it(plain):
    """By level both GAPOs are pooled, each a stratum. No claim named them, so nothing is called better."""
    tables = {one.name: {line.label: line.entries for line in one.lines} for one in plain.tables}
    # an interval without zero decides nothing that was not claimed, and the cell says so
    improve = tables["noise_id"]["Improve."]
    assert improve[2].value == pytest.approx(10) and improve[2].marks == ("†",)
    lost = tables["comparisons_lost_id"]
    # GRPO loses a point for each percent, GAPO half of it
    assert lost["nano noise=0.1: GAPO (G) over GRPO"][0].value == pytest.approx(5)
    assert lost["nano noise=0.2: GAPO (D) over DAPO"][0].value == pytest.approx(10)
    pooled = lost["both GAPOs: GAPO, nano-0.6M noise=0.2, over its baseline"]
    assert pooled[3].text == "8 + 8" and pooled[0].value == pytest.approx(10) and pooled[2].text == "exploratory"
    by_level = tables["comparisons_noise_id"]
    assert "both GAPOs: GAPO, nano-0.6M noise=0.1, over its baseline" in by_level
    assert not any("both" in label and "noise=0," in label for label in by_level)
    assert any(line.startswith("change from no noise, the ID test set: GAPO") for line in plain.verdicts)
    assert not any("noise=0:" in line for line in plain.verdicts)


def test_every_gapo_has_its_sentence_and_the_rest_is_exploratory(plain):
    first = next(line for line in plain.verdicts if line.startswith("the ID test set: GAPO (G) over GRPO"))
    assert "all models" in first and "8 + 8 seeds" in first and "[" in first and "corrected" in first
    alone = next(line for line in plain.verdicts if line.startswith("the ID test set: GAPO (G) over GRPO, nano-0.6M"))
    assert "labels" in alone and "corrected" not in alone
    noisy = [line for line in plain.verdicts if line.startswith("by noise, the ID test set: exploratory: ")]
    assert not noisy, "all comparisons by noise have a sentence"
    notes = {text for one in plain.tables for _, text in one.notes}
    assert any("Bold" in text for text in notes) and any("Step Δ" in text for text in notes)


def test_tau_has_numbers_and_comparisons(empty_mlflow, tmp_path):
    runs = [one for one in study(5) if not float(one.get("noise", 0))]
    runs += [
        one
        | {"tau": tau, "key": f"{one['key']}-{tau}", "points": {"val/id/em": {0: 0.25, 10: value + one["seed"] / 500}}}
        for one in runs
        if one["model"] == "nano" and "gapo" in one["algo"]
        for tau, value in ((0.1, 0.3), (0.9, 0.6))
    ]
    Database(empty_mlflow, tmp_path / "t.db").add(runs)
    asked = Asked(studies=("s",), figures=False, allow_incomplete=True, spread=True)
    made = {one.name: one for one in build.build(connect.connect(f"sqlite:///{tmp_path}/t.db"), asked).document.tables}
    values = {line.label: line.entries[0].value for line in made["tau_id"].lines}
    assert values["GAPO (G) τ=0.1 (k=1)"] == pytest.approx(30.4) and values["GRPO"] == pytest.approx(50.4)
    assert values["GAPO (D) τ=0.9 (k=8)"] == pytest.approx(60.4) and len(values) == 8
    compared = {line.label: line.entries for line in made["comparisons_tau_id"].lines}
    one = compared["nano-0.6M: GAPO (G) τ=0.1 (k=1) over GAPO (G) τ=0.5 (k=4)"]
    assert one[3].text == "5 + 5" and one[2].text == "exploratory"
    assert "nano-0.6M: GAPO (G) τ=0.9 (k=8) over GRPO" in compared and len(compared) == 8
    assert [text for text, _ in made["statistics_id"].header[0]][4] == "last step"


def test_noise_can_be_an_axis_of_a_slice_and_a_choice(place):
    made = build.build(
        connect.connect(None), Asked(studies=("s",), rows=("algo", "noise"), where={"model": "nano"})
    ).document
    (table,) = (one for one in made.tables if one.name.startswith("slice"))
    assert [line.label for line in table.lines][:3] == ["GRPO noise=0", "GRPO noise=0.1", "GRPO noise=0.2"]
    one = build.build(connect.connect(None), Asked(studies=("s",), where={"noise": "0"}, figures=False))
    assert {run.params["noise"] for table in one.measured for t in table.by_cell.values() for run in t.cell.runs} == {
        "0"
    }


def test_the_rewards_before_training_are_those_of_a_method_without_penalty(place):
    selection = build.runs.select(connect.find_runs(connect.connect(None), ["s"], Path("runs")))
    found = reward_noise.found(selection, place / "runs")
    assert list(found) == [("nano", 0.0), ("nano", 0.1), ("nano", 0.2), ("nano_large", 0.0)]
    assert {len(groups) for groups in found.values()} == {4 * 32}
    numbers = [reward_noise.numbers(found["nano", level]) for level in LEVELS["nano"]]
    assert all(0 <= one["mean"] <= 1 for one in numbers)
    gaps = [one["gap ≥ 0.1, %"] for one in numbers]
    assert gaps[0] < gaps[1] < gaps[2]
    assert numbers[0]["flat, %"] == 12.5 and numbers[0]["skewness"] > 0.5


def test_skewness_and_gaps_by_hand():
    low, flat = np.array([0.0, 0.0, 0.0, 0.8]), np.array([0.5, 0.5, 0.5, 0.5])
    got = reward_noise.numbers([low, flat, 1 - low])
    assert (got["prompts"], got["rollouts"], got["mean"]) == (3, 12, pytest.approx(0.5))
    assert got["gap ≥ 0.1, %"] == got["gap ≥ 0.02, %"] == pytest.approx(200 / 3)
    assert [got[f"{kind}, %"] for kind in ("left-skewed", "right-skewed", "flat")] == pytest.approx([100 / 3] * 3)
    assert got["skewness"] == pytest.approx(0) and np.isnan(reward_noise.numbers([flat])["skewness"])


@pytest.mark.slow
def test_the_page_of_markdown_is_the_reports_numbers_and_nothing_of_the_machine(place, capsys):
    assert report.main(["s", "--no-log", "--against", "paper", "--spread", "--markdown", "docs/results.md"]) == 0
    assert "share no model" not in capsys.readouterr().out
    text = (place / "docs" / "results.md").read_text()
    assert str(place) not in text and "sqlite" not in text and "None" not in text
    for name in re.findall(r"\]\((img/[^)]+)\)", text):
        assert (place / "docs" / name).read_bytes().startswith(b"\x89PNG")
    assert {"img/results/figureS1.png", "img/results/figureS2.png"} <= set(re.findall(r"img/[^)]+", text))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.split(" | ")[0] for line in rows}) > 20
    page = place / "docs" / "results.md"
    page.write_text(text.replace(markdown.BEGIN, f"{markdown.BEGIN}\nGAPO **helps** nobody.\n"))
    assert markdown.user_words(page).strip() == "GAPO **helps** nobody."
    made = build.build(connect.connect(None), Asked(studies=("s",), figures=False)).document
    markdown.write(made, page)
    assert page.read_text().count("GAPO **helps** nobody.") == 1
    with pytest.raises(UserError, match="no page of a report"):
        markdown.user_words(place / "runs" / study()[0]["key"] / "attempts/1/generations/train/1.jsonl")
    # each row of a table has as many cells as its head
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_the_papers_differences_stand_beside_ours(place):
    made = build.build(connect.connect(None), Asked(studies=("s",), against_paper=True, figures=False)).document
    table = next(one for one in made.tables if one.name == "against_paper_id")
    lines = {line.label: [entry.value for entry in line.entries] for line in table.lines}
    ours, theirs = lines["GAPO (G) over GRPO"][:6], lines["GAPO (G) over GRPO"][6:]
    assert ours[0] == pytest.approx(0) and theirs == pytest.approx([9, 0.53, 2.31, 4.35])
    assert lines["GAPO (D) over DAPO"][6:] == pytest.approx([8, 0.61, 1.435, 2.32])
    assert any("Table 2 is of 3,897 test cases: one case is 0.03 points" in text for _, text in table.notes)


def test_runs_that_unlearn_are_compared_by_noise_after_their_last_step(empty_mlflow, tmp_path, monkeypatch):
    """At their best on the dev set they have not trained: 19 of 20 runs of a study showed the same untrained model."""
    runs = [run for run in study() if run["model"] == "nano"]
    for run in runs:
        run["points"]["val/dev/em"] = {0: 0.5, 10: 0.3} if float(run["noise"]) else {0: 0.3, 10: 0.5}
    Database(empty_mlflow, tmp_path / "mlflow.db").add(runs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def grpo(pick: str | None) -> list[float]:
        asked = Asked(studies=("s",), figures=False, pick=pick)
        tables = {one.name: one for one in build.build(connect.connect(None), asked).document.tables}
        said = any("after its last step" in text for _, text in tables["noise_id"].notes)
        assert said == (pick is None)
        return [entry.value for entry in tables["noise_id"].lines[0].entries]

    assert grpo(None) == pytest.approx([50.45, 40.45, 30.45])
    assert grpo("dev") == pytest.approx([50.45, 25, 25])
