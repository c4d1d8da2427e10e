"""Greedy answers and likely truths of a finished run's last checkpoint: what the trainer itself would have measured."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from gapo_lab.cli import runs
from gapo_lab.data.micro.generator import generate
from gapo_lab.data.prepare import rows_of
from gapo_lab.paths import NANO
from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking import mapping

pytestmark = pytest.mark.slow  # asks a run that has really trained


@pytest.fixture
def sampled(finished, tmp_path, monkeypatch):
    """A copy of a real run whose greedy and expected metrics after the start are taken out, and what they were."""
    shutil.copytree(finished.cwd / "runs", tmp_path / "runs")
    shutil.copytree(finished.cwd / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    (path,) = (p for p in (tmp_path / "runs").iterdir() if (p / "spec.yaml").exists())
    folder = RunFolder(path)
    rows = folder.attempts()[-1].rows()
    out = re.compile(r"val/.*(_greedy|em_expected.*|em_loglik|em_answer_noise)")
    measured = {n: v for row in rows if row.step == 3 for n, v in row.metrics.items() if out.fullmatch(n)}
    kept = [
        {
            "step": row.step,
            "time": row.time,
            "metrics": {n: v for n, v in row.metrics.items() if row.step < 3 or not out.fullmatch(n)},
        }
        for row in rows
    ]
    folder.attempts()[-1].metrics_path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    assert "val/id/em_greedy" not in folder.merged_metrics()[3]
    return folder, measured


def test_it_finds_what_the_trainer_measured(sampled, capsys):
    folder, measured = sampled
    assert runs.main(["evaluate"]) == 0
    found = folder.merged_metrics()[3]
    assert {"val/id/em_greedy", "val/ood/em_greedy", "val/id/similarity_greedy"} <= set(measured)
    assert {"val/id/em_expected", "val/ood/em_expected_t50", "val/id/em_loglik"} <= set(measured)
    # verl's reward is the score with what is added to it
    scored = {n: value for n, value in measured.items() if "/reward" not in n}
    assert {n: found[n] for n in scored} == pytest.approx(scored, abs=1e-5)
    assert "greedy, step 3  [1/1, 0:00 left]" in capsys.readouterr().out
    attempts = {one.number: one.rows() for one in folder.attempts()}
    before = attempts | {max(attempts): attempts[max(attempts)][:-1]}
    sent = mapping.to_send(before, folder.summary())[1]
    assert sent < mapping.to_send(attempts, folder.summary())[1]  # a copy in MLflow is added to, not made anew
    rows = len(folder.attempts()[-1].rows())
    assert runs.main(["evaluate", folder.key]) == 0  # again: shown, not measured again
    assert len(folder.attempts()[-1].rows()) == rows and "greedy, step 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("checkpoints", "keeps no checkpoint"),
        ("data", "not on this machine"),
        ("shard", "not whole"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_a_line(sampled, capsys, gone, said):
    folder, _ = sampled
    if gone == "shard":
        actor = folder.checkpoints / "global_step_3" / "actor"
        next(actor.glob("model_*rank_1.pt")).unlink()
    else:
        shutil.rmtree(folder.checkpoints if gone == "checkpoints" else "data")
    assert runs.main(["evaluate", folder.key]) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_a_run_that_has_not_finished_is_none(sampled, capsys):
    folder, _ = sampled
    (folder.path / "summary.json").unlink()
    assert runs.main(["evaluate"]) == 2
    assert "no finished run of all" in capsys.readouterr().err


def test_a_checkpoint_that_is_not_kept_is_said_with_those_that_are(sampled, capsys):
    folder, _ = sampled
    assert runs.main(["evaluate", folder.key, "--step", "7"]) == 1
    assert "keeps no checkpoint of step 7; it keeps" in capsys.readouterr().err


REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    assert data_source == "my/edits"
    return {"score": len(solution_str) / 100, "acc": solution_str == ground_truth, "said": solution_str}
"""


@pytest.fixture
def user_rows(tmp_path, monkeypatch):
    """Eight edits as rows of a user's own, and a reward."""
    data = {"name": "micro", "template": None, "window": 6000, "window_tokens": None, "history": 8000}
    rows = rows_of(generate("id", 8, seed=0), "id", data)
    named = [{"data_source": "my/edits", "prompt": row["prompt"], "reward_model": row["reward_model"]} for row in rows]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    (tmp_path / "mine.py").write_text(REWARD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_any_model_is_evaluated_with_any_reward_and_the_luck_of_its_answers_is_told(user_rows, capsys):
    shutil.copytree(NANO / "checkpoint", user_rows / "copy")
    words = ["model=./copy", "data=parquet", "data.id=test.jsonl", "reward=mine.py", "data.max_response_length=24"]
    assert runs.main(["evaluate", *words, "--answers", "4"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    found = {name: float(value) for name, value in map(str.split, lines)}
    assert first.startswith("copy: ID ") and " +- " in first
    assert found.keys() == {
        f"val/id/{name}{end}" for name in ("score", "acc") for end in ("_greedy", "_expected", "_expected_noise")
    }
    # 4 answers to each of 8 tasks
    assert (found["val/id/acc_expected"] * 32).is_integer() and (found["val/id/acc_greedy"] * 8).is_integer()
    assert 0 < found["val/id/score_expected_noise"] < 0.05


def test_a_reward_that_fails_is_one_line(user_rows, capsys):
    (user_rows / "mine.py").write_text(REWARD.replace("my/edits", "others"))
    assert runs.main(["evaluate", "model=nano", "data=parquet", "data.id=test.jsonl", "reward=mine.py"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gapo_lab: reward=mine.py: raised AssertionError (mine.py, line ") and said.count("\n") == 1
    assert " for row 0 of test.jsonl and the answer '" in said and said.endswith("Mend it.\n")
    assert runs.main(["evaluate", "model=nano", "data=parquet", "data.id=no.jsonl", "reward=mine.py"]) == 2
    assert capsys.readouterr().err == "gapo_lab: data.id=no.jsonl: no such file or folder\n"
