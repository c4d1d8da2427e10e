"""`python -m gapo_lab doctor`: a line for each check, and an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from gapo_lab.cli import runs

CHECKED = ("settings", "packages", "model nano", "tokenizer nano", "data", "OOD data", "run root", "disk", "MLflow")


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    """The command in a folder of its own: its exit code and its lines by what they are about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*words: str) -> tuple[int, dict[str, str]]:
        code = runs.main(["doctor", *words])
        *lines, _counts = capsys.readouterr().out.splitlines()
        return code, {line[10:30].strip(): line[:10].strip() + " " + line[30:].strip() for line in lines}

    return run


@pytest.mark.slow  # reads a tokenizer: transformers takes seconds to load
def test_a_run_of_the_shipped_model_can_be_started(doctor):
    code, found = doctor()
    assert code == 0 and all(found[about].startswith(("ok", "note")) for about in CHECKED)
    assert found["settings"].startswith("ok 5 runs in 1 cell")
    assert not list(Path.cwd().iterdir()), "it looks and leaves nothing"


def test_what_is_wrong_is_told_line_by_line(doctor):
    code, found = doctor("data=git", "data.path=nowhere", "model.path=./nowhere", "run_root=/proc/runs")
    assert code == 1
    assert {about for about, text in found.items() if text.startswith("wrong")} == {
        "settings",
        "model nano",
        "data",
        "run root",
        "disk",
    }
    assert "nowhere" in found["data"] and "run_root=FOLDER" in found["run root"]


def test_a_large_sweep_without_its_cluster(doctor, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    code, found = doctor("+sweep=table2", "algo=grpo,gapo_grpo", "cluster=slurm", "data=micro")
    assert code == 1 and found["settings"].startswith("ok 90 runs")
    assert "sbatch is not on this machine" in found["SLURM"]
    assert found["GPUs"] == "not seen no GPU here: try --on-node"
    assert found["model qwen_coder_7b"].startswith("wrong") and "hf download" in found["model qwen_coder_7b"]
    assert sum(about.startswith("model ") for about in found) == 9
    assert found["disk"].startswith("wrong") and "TB" in found["disk"]


@pytest.mark.slow  # reads a tokenizer: transformers takes seconds to load
def test_a_search_is_examined_too(doctor):
    _, found = doctor("+sweep=tau_search", "scale=nano", "tracking=later")
    assert found["settings"].startswith("ok 5 runs") and "tracking=later" in found["MLflow"]


def test_a_mistake_is_one_line(doctor, capsys):
    assert runs.main(["doctor", "--on-node"]) == 2
    assert "cluster=NAME" in capsys.readouterr().err
    assert runs.main(["doctor", "tau"]) == 2
    assert "KEY=VALUE" in capsys.readouterr().err
