"""The error over seeds and cases at once, and the table of it from what runs answered."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from analysis_database import Database

from analysis.report import build
from analysis.report.options import Asked
from analysis.sources import cases, connect
from analysis.statistics.crossed import crossed
from analysis.statistics.two_samples import welch


def test_without_cases_that_differ_it_is_welchs_t():
    """All cases alike: nothing but seeds."""
    ours, theirs = (np.repeat(np.array(v)[:, None], 50, axis=1) for v in ([1.0, 1.2, 1.3], [0.8, 1.1, 0.7]))
    found, seeds = crossed(ours, theirs), welch(ours[:, 0], theirs[:, 0])
    assert found.delta == pytest.approx(seeds.delta) and found.error == pytest.approx(seeds.error)
    assert found.freedom == pytest.approx(seeds.freedom)


def test_without_seeds_that_differ_it_is_the_paired_t_over_cases():
    ours, theirs = np.random.default_rng(0).normal(size=(2, 40))
    found = crossed(np.tile(ours, (3, 1)), np.tile(theirs, (4, 1)))
    gap = ours - theirs
    assert found.error == pytest.approx(gap.std(ddof=1) / math.sqrt(40)) and found.freedom == pytest.approx(39)


def test_by_hand_on_two_seeds_and_two_cases():
    ours, theirs = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    seeds = 0.125 / 2 + 0.125 / 2
    by_case = np.var([1.0 - 0.0, 0.5 - 0.5], ddof=1) / 2
    residual = 2 * (0.25 / 4)  # each cell is a quarter off its row and column, (2-1)(2-1) left
    assert crossed(ours, theirs).error ** 2 == pytest.approx(max(seeds, by_case, seeds + by_case - residual))
    assert math.isnan(crossed(ours[:1], theirs).error)
    with pytest.raises(ValueError, match="2 and 1 cases"):
        crossed(ours, theirs[:, :1])


def test_new_cases_are_covered_where_methods_differ_case_by_case():
    """Equal on average over all cases there could be, better on some: seeds alone reject far too often."""
    rng, wrong, alone = np.random.default_rng(1), 0, 0
    for _ in range(300):
        effects = rng.normal(size=(2, 1, 200))
        ours, theirs = effects + rng.normal(scale=0.3, size=(2, 5, 200)) + rng.normal(scale=0.02, size=(2, 5, 1))
        wrong += crossed(ours, theirs).p <= 0.05
        alone += welch(ours.mean(axis=1), theirs.mean(axis=1)).p <= 0.05
    assert wrong / 300 < 0.09 and alone / 300 > 0.3


def answered(root, key, step, rows, attempt=1):
    folder = root / key / "attempts" / str(attempt) / "generations" / "val"
    folder.mkdir(parents=True, exist_ok=True)
    (root / key / "spec.yaml").write_text("study: s\n")
    (folder / f"{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(task, em, name="id", greedy="no"):
    return {"input": "", "output": "", "task": task, "set": name, "greedy": greedy, "em": em}


def test_the_last_validations_answers_are_read_by_set_and_decoding(tmp_path):
    answered(tmp_path, "k", 5, [row("a", 0.0)])
    rows = [row("a", 1.0), row("a", 0.0), row("b", 1.0), row("a", 1.0, greedy="yes"), row("c", 1.0, name="ood")]
    answered(tmp_path, "k", 10, rows, attempt=2)
    assert cases.of_run(tmp_path, "k", "val/id/em") == {"a": 0.5, "b": 1.0}
    assert cases.of_run(tmp_path, "k", "val/id/em_greedy") == {"a": 1.0}
    assert cases.of_run(tmp_path, "k", "val/ood/em") == {"c": 1.0}
    folder = tmp_path / "k" / "attempts" / "2" / "generations" / "truths"
    folder.mkdir()
    lines = [{"set": "id", "id": "a", "loglik": math.log(0.25), "loglik_t50": 0.0}, {"set": "ood", "id": "c"}]
    (folder / "10.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cases.of_run(tmp_path, "k", "val/id/em_expected") == {"a": pytest.approx(0.25)}
    assert cases.of_run(tmp_path, "k", "val/id/em_expected_t50") == {"a": 1.0}
    answered(tmp_path, "old", 10, [{"input": "", "em": 1.0}])
    assert cases.of_run(tmp_path, "old", "val/id/em") == cases.of_run(tmp_path, "none", "val/id/em") == {}


def test_a_report_shows_it_where_the_runs_say_which_case_they_answered(empty_mlflow, tmp_path):
    rng, runs = np.random.default_rng(2), []
    for number, algo in enumerate(("grpo", "gapo_grpo")):
        for seed in range(3):
            key, right = f"{algo}{seed}", rng.random(60) < 0.4 + 0.2 * number
            answered(tmp_path / "runs", key, 10, [row(f"t{i}", float(ok)) for i, ok in enumerate(right)])
            points = {"val/id/em": {0: 0.1, 10: float(right.mean())}}
            tau = 0.5 if number else None
            runs.append({"study": "s", "model": "nano", "algo": algo, "seed": seed, "tau": tau, "key": key})
            runs[-1] |= {"points": points, "tags": {"gapo.key": key}}
    Database(empty_mlflow, tmp_path / "c.db").add(runs)
    asked = Asked(studies=("s",), figures=False, runs_root=tmp_path / "runs")
    made = build.build(connect.connect(f"sqlite:///{tmp_path}/c.db"), asked).document
    table = next(one for one in made.tables if one.name == "comparisons_cases_id")
    (line,) = table.lines
    assert line.label == "nano: GAPO (G) over GRPO" and [e.text for e in line.entries[-2:]] == ["3 + 3", "60"]
    compared = next(one for one in made.tables if one.name == "comparisons_id").lines[0]
    assert line.entries[0].value == pytest.approx(compared.entries[0].value)
