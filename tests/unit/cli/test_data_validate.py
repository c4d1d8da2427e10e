"""`validate --model` takes what `model=` takes, and asks no network."""

from __future__ import annotations

import json

import pytest

from gapo_lab.cli.data import main


@pytest.fixture
def rows(tmp_path, monkeypatch):
    row = {"data_source": "x", "prompt": [{"role": "user", "content": "a = b\n" * 9}]}
    row["reward_model"] = {"ground_truth": "b"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return "rows.jsonl"


def test_a_built_in_model_by_its_name(rows, capsys):
    assert main(["validate", rows, "--model", "nano"]) == 0
    assert main(["validate", rows, "--model", "nano", "--max-prompt-length", "5"]) == 1
    assert "a prompt of over 5 tokens in 1 of 1 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("smollm3", "model=smollm3: no such model (did you mean smollm2_135m?); there are: "),
        ("some/model", "Fetch it where there is a network: hf download some/model"),
        ("qwen_coder_7b", "Fetch it where there is a network: hf download Qwen/Qwen2.5-Coder-7B-Instruct"),
        ("./nowhere", "no such folder"),
    ],
)
def test_a_model_that_is_not_here_is_told_at_once(rows, capsys, named, says):
    assert main(["validate", rows, "--model", named]) == 2
    assert says in capsys.readouterr().err
