"""Known data sets as files for data=parquet: rows of their formats, which the tests write, through to their rewards."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapo_lab.cli.data import main
from gapo_lab.data.user_rows import rows
from gapo_lab.data.user_rows.row_formats import RECIPES, Unusable, last_boxed
from gapo_lab.errors import UserError
from gapo_lab.rewards import unit_tests

GSM8K = {"question": "Two and 1,070?", "answer": "2 + 1070 = <<2+1070=1072>>1072\n#### 1,072"}
MATH = {
    "problem": "Half?",
    "solution": "So \\boxed{0} no, $\\boxed{\\frac{1}{2}}$.",
    "level": "Level 1",
    "type": "Algebra",
}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": "from math import pi\n\ndef half(x):\n    return x / 2\n\ndef area(r):\n    '''The area.'''\n",
    "canonical_solution": "    return pi * r * r\n",
    "test": "def check(candidate):\n    assert candidate(1) == pi\n    assert half(2) == 1\n",
    "entry_point": "area",
}
MBPP = {
    "task_id": 601,
    "text": "Write a function to add.",
    "code": "def add(a, b): return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(base, 1) == 11"],
    "test_setup_code": "base = 10",
    "challenge_test_list": [],
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


def raw(path: str, found: list[dict]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if path.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(found), path)
    else:
        Path(path).write_text("".join(json.dumps(one) + "\n" for one in found))


def read(path: str) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_gsm8k_from_a_folder_as_it_is_downloaded(capsys):
    raw("raw/main/train-00000-of-00001.parquet", [GSM8K, {**GSM8K, "answer": "no end"}])
    raw("raw/main/test-00000-of-00001.parquet", [GSM8K])
    raw("raw/socratic/train-00000-of-00001.parquet", [GSM8K] * 5)
    assert main(["import", "gsm8k", "raw"]) == 0
    said = capsys.readouterr().out
    assert "data/gsm8k/train.parquet: 1 rows" in said and "left out: 1 rows, no #### in the answer" in said
    assert "data.train=data/gsm8k/train.parquet data.id=data/gsm8k/test.parquet reward=gsm8k" in said
    (row,) = read("data/gsm8k/test.parquet")
    assert (row["data_source"], row["reward_model"]["ground_truth"]) == ("openai/gsm8k", "1072")
    assert (
        row["prompt"][0]["content"].startswith("Two and 1,070? Let's think") and "####" in row["prompt"][0]["content"]
    )
    assert main(["validate", "data/gsm8k"]) == 0
    assert main(["describe", "data/gsm8k"]) == 0
    assert "openai/gsm8k" in capsys.readouterr().out


def test_math_takes_the_last_box():
    raw("math/test/algebra.jsonl", [MATH])
    raw("math/train/algebra.jsonl", [MATH, {"problem": "x", "answer": "7"}])
    assert main(["import", "math", "math", "--out", "out"]) == 0
    (row,) = read("out/test.parquet")
    assert row["reward_model"]["ground_truth"] == "\\frac{1}{2}" and row["extra_info"]["level"] == "Level 1"
    assert read("out/train.parquet")[1]["reward_model"]["ground_truth"] == "7"
    assert last_boxed("\\boxed{a{b}c}") == "a{b}c"
    with pytest.raises(Unusable):
        last_boxed("no box, \\boxed{open")


@pytest.mark.parametrize(
    ("name", "found", "good"),
    [
        ("humaneval", HUMANEVAL, "from math import pi\ndef area(r):\n    return pi * r * r\n"),
        ("mbpp", MBPP, "def add(a, b):\n    return a + b\n"),
    ],
)
def test_programs_and_their_tests_reach_the_reward(name, found, good, capsys):
    raw("raw/test.jsonl", [found])
    assert main(["import", name, "raw"]) == 0
    data = {
        **dict.fromkeys(("dev", "ood", "train_size", "id_size", "dev_size", "ood_size")),
        **dict.fromkeys(("train", "id"), f"data/{name}/test.parquet"),
        "prompt_key": "prompt",
        "truth_key": "reward_model.ground_truth",
        "source_key": "data_source",
    }
    (row,) = rows.rows_of(data)["id"]
    _, truth, about = rows.told(row["data_source"], row["reward_model"]["ground_truth"], row["extra_info"])
    assert about["task"] == str(found["task_id"])
    try:
        right = unit_tests.run(f"```python\n{good}```", truth, unit_tests.Limits(seconds=20))
    except UserError as error:
        pytest.skip(str(error))
    assert right.share == 1
    assert unit_tests.run("I do not know.", truth, unit_tests.Limits(seconds=20)).passed == 0
    assert main(["validate", f"data/{name}"]) == 0 and main(["describe", f"data/{name}"]) == 0


def test_any_json_lines_with_their_own_words(capsys):
    raw("mine.jsonl", [{"q": f"{n} + 1?", "a": str(n + 1), "level": n} for n in range(10)] + [{"q": "x"}])
    assert main(["import", "jsonl", "mine.jsonl", "--prompt", "q", "--truth", "a", "--test", "3"]) == 0
    said = capsys.readouterr().out
    assert "train.parquet: 7 rows" in said and "test.parquet: 3 rows" in said and "left out: 1 rows, no a" in said
    row = read("data/jsonl/test.parquet")[0]
    assert (row["data_source"], row["extra_info"]["level"], row["extra_info"]["index"]) == ("mine", 7, 0)
    assert main(["import", "jsonl", "mine.jsonl", "--prompt", "q", "--truth", "a", "--test", "10"]) == 2
    assert "--test 10: there are only 10 rows" in capsys.readouterr().err


def test_what_cannot_be_had_is_said_with_what_to_fetch(capsys):
    assert main(["import", "mbpp"]) == 2
    said = capsys.readouterr().err
    assert "hf download google-research-datasets/mbpp --repo-type dataset --local-dir data/raw/mbpp" in said
    assert "then here: python -m gapo_lab.data import mbpp data/raw/mbpp" in said and len(said.splitlines()) == 1
    assert main(["import", "gsm8k", "no-such-folder"]) == 2
    assert "no such file or folder, and no Hugging Face id" in capsys.readouterr().err
    raw("raw/train.jsonl", [{"text": "x"}])
    assert main(["import", "gsm8k", "raw"]) == 2
    assert "no usable row in raw (1 rows: no question)" in capsys.readouterr().err
    assert main(["import", "jsonl"]) == 2
    assert "import jsonl FILE --prompt KEY --truth KEY" in capsys.readouterr().err


def test_validate_reads_json_lines_too(capsys):
    raw(
        "a.jsonl",
        [{"prompt": [{"role": "user", "content": ""}], "data_source": "x", "reward_model": {"ground_truth": "1"}}],
    )
    assert main(["validate", "a.jsonl"]) == 1
    assert "an empty message in 1 of 1 rows" in capsys.readouterr().out
    raw("b.jsonl", [{"prompt": "text"}])
    assert main(["validate", "b.jsonl"]) == 1
    assert "no text column" in capsys.readouterr().out


def test_validate_and_describe_take_the_rows_that_a_trainer_takes(capsys):
    """A prompt that is a text, no source, truths of several kinds, other columns."""
    raw(
        "a.jsonl",
        [
            {"prompt": "1 + 1 =", "reward_model": {"ground_truth": 2}},
            {"prompt": [{"role": "user", "content": "?"}], "reward_model": {"ground_truth": ["a", {"b": 1}]}},
        ],
    )
    raw("b.jsonl", [{"question": "1 + 1 =", "answer": "2"}])
    keys = ["--prompt-key", "question", "--truth-key", "answer"]
    for words in (["a.jsonl"], ["b.jsonl", *keys]):
        assert main(["validate", *words]) == 0 and main(["describe", *words]) == 0
        assert "1 + 1 =" in capsys.readouterr().out
    assert main(["validate", "b.jsonl", "--prompt-key", "question", "--truth-key", "answr"]) == 2
    assert "--truth-key answr: no such column in b.jsonl, which has question, answer" in capsys.readouterr().err
    raw("c.jsonl", [{"prompt": "?", "reward_model": {"ground_truth": 1}}, {"prompt": "?", "reward_model": {}}])
    assert main(["validate", "c.jsonl"]) == 2
    assert "row 1 of c.jsonl has no reward_model.ground_truth" in capsys.readouterr().err


def test_each_recipe_names_a_reward_that_ships():
    from gapo_lab.paths import CONF

    for recipe in RECIPES.values():
        assert (CONF / "reward" / f"{recipe.reward}.yaml").is_file()
