"""Rows of one's own: which files a word means, what is wrong with them, what the trainer gets."""

from __future__ import annotations

import json
import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapo_lab.data import content_digest
from gapo_lab.data.user_rows import files, rows, sets
from gapo_lab.errors import UserError


def row(number: int, source: str = "my/sums", **more) -> dict:
    return {
        "data_source": source,
        "prompt": [{"role": "user", "content": f"{number} + 1 = "}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": str(number + 1)},
        "extra_info": {"index": 7, "hint": "count", **more},
    }


def write(path, found) -> str:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in found))
    else:
        pq.write_table(pa.Table.from_pylist(found), path)
    return str(path)


@pytest.fixture
def data(tmp_path) -> dict:
    """The node of a `data=parquet` run."""
    (tmp_path / "train").mkdir()
    write(tmp_path / "train" / "b.parquet", [row(n) for n in range(3)])
    write(tmp_path / "train" / "a.jsonl", [row(n) for n in range(10, 14)])
    return {
        "name": "parquet",
        "train": str(tmp_path / "train"),
        "id": write(tmp_path / "id.parquet", [row(n) for n in range(20, 25)]),
        "dev": None,
        "ood": None,
        "train_size": None,
        "id_size": None,
        "dev_size": None,
        "ood_size": None,
        "prompt_key": "prompt",
        "truth_key": "reward_model.ground_truth",
        "source_key": "data_source",
    }


def test_a_file_a_folder_a_pattern_and_a_list_name_the_same_rows(data, tmp_path):
    folder = tmp_path / "train"
    ways = [str(folder), f"{folder}/*", [f"{folder}/a.jsonl", f"{folder}/b.parquet"]]
    assert {files.find("data.train", way) for way in ways} == {(folder / "a.jsonl", folder / "b.parquet")}
    found = rows.rows_of(data)
    assert list(found) == ["train", "id"]
    assert [one["reward_model"]["ground_truth"] for one in found["train"]] == ["11", "12", "13", "14", "1", "2", "3"]
    assert {one["data_source"] for one in found["id"]} == {"id"}


def test_named_test_sets_keep_their_names(data, tmp_path):
    far = write(tmp_path / "far.jsonl", [row(99)])
    assert list(rows.rows_of({**data, "dev": far, "ood": far})) == ["train", "id", "dev", "ood"]
    assert list(rows.rows_of({**data, "ood": {"aime": far, "amc": [far]}})) == ["train", "id", "aime", "amc"]
    for name in ("id", "train", "x_greedy", "a/b"):
        (line,) = sets.problems({**data, "ood": {name: far}})
        assert re.search(f"{name}.*cannot be the name of a test set", line)


def test_the_reward_is_told_what_the_file_says(data, tmp_path):
    tests = {"inputs": [1, 2], "code": None}
    own = [{**row(1, "code/x", level=3), "reward_model": {"ground_truth": tests}}, {"prompt": "say 1", "answer": "1"}]
    data |= {"id": write(tmp_path / "own.jsonl", own[:1])}
    (found,) = rows.rows_of(data)["id"]
    # what is between the file and the reward is a parquet file of its own
    pq.write_table(pa.Table.from_pylist([found]), tmp_path / "val.parquet")
    (found,) = pq.read_table(tmp_path / "val.parquet").to_pylist()
    added = {**found["extra_info"], "num_turns": 2}
    told = rows.told(found["data_source"], found["reward_model"]["ground_truth"], added)
    assert told == ("code/x", tests, {"index": 7, "hint": "count", "level": 3, "num_turns": 2})
    assert rows.place(added) == "row 0 of own.jsonl"

    data |= {"id": write(tmp_path / "plain.jsonl", own[1:]), "truth_key": "answer"}
    (found,) = rows.rows_of({**data, "train": data["id"]})["id"]
    assert found["prompt"] == [{"role": "user", "content": "say 1"}]
    assert rows.told("id", found["reward_model"]["ground_truth"], found["extra_info"]) == ("id", "1", {})


def test_other_data_are_told_as_they_are():
    assert rows.told("id", "x", {"id": "t1", "answer": "region"}) == ("id", "x", {"id": "t1", "answer": "region"})
    assert rows.place({"id": "t1"}) == "t1"


def test_the_first_rows_are_taken(data):
    found = rows.rows_of({**data, "train_size": 2, "id_size": 1})
    assert [len(found[name]) for name in ("train", "id")] == [2, 1]


def test_the_fingerprint_is_of_the_content(data, tmp_path):
    first = content_digest.of(data)
    moved = shutil.copytree(tmp_path / "train", tmp_path / "elsewhere")
    assert content_digest.of({**data, "train": str(moved)}) == first
    assert content_digest.of({**data, "ood": data["id"]}) != first
    assert content_digest.of({**data, "ood": {"x": data["id"]}}) != content_digest.of(
        {**data, "ood": {"y": data["id"]}}
    )
    flat = {k: v for k, v in data.items() if k != "ood"} | {"ood.x": data["id"]}
    assert content_digest.of(flat) == content_digest.of({**data, "ood": {"x": data["id"]}})
    with open(tmp_path / "train" / "a.jsonl", "a") as file:
        file.write(json.dumps(row(50)) + "\n")
    assert content_digest.of(data) != first


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "no.parquet"}, "data.id=no.parquet: no such file or folder"),
        ({"train": "no/*.parquet"}, "data.train=no/.*: no such file or folder"),
        ({"ood": {"far": "no.jsonl"}}, "data.ood.far=no.jsonl: no such file"),
        ({"id": 3}, "data.id=3: must be a file"),
        ({"prompt_key": "question"}, "data.prompt_key=question: no such column in .*data.train has .*prompt"),
        ({"truth_key": "ground_truth"}, "did you mean data.truth_key=reward_model.ground_truth"),
    ],
)
def test_what_is_wrong_is_known_before_a_run(data, changed, said):
    (line,) = sets.problems({**data, **changed})
    assert re.search(said, line)


def test_what_is_wrong_with_each_set_is_told(data):
    wrong = {"train": "no.jsonl", "id": "no.parquet", "prompt_key": "question", "dev": data["id"], "ood": {"id": "x"}}
    told = [line.partition(": ")[0] for line in sets.problems({**data, **wrong})]
    assert told == ["data.ood", "data.train=no.jsonl", "data.id=no.parquet", "data.prompt_key=question"]


def test_files_that_are_no_rows_are_named(data, tmp_path):
    for name, text, said in (
        ("a.jsonl", "", "no rows in it"),
        ("b.jsonl", "[1]\n", "line 1: is not a row"),
        ("c.jsonl", "{'a'\n", "cannot be read as JSON lines"),
        ("d.parquet", "PAR1", "not a whole parquet file"),
        ("e.csv", "a,b", "must be a .parquet or a .jsonl file"),
    ):
        (tmp_path / name).write_text(text)
        (line,) = sets.problems({**data, "id": str(tmp_path / name)})
        assert said in line


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompt": []}, "row 0 of x.jsonl: prompt must be a text, or a list of messages"),
        ({"prompt": [{"role": "user"}]}, "prompt must be a text"),
        ({"reward_model": {"ground_truth": None}}, "row 0 of x.jsonl has no reward_model.ground_truth"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(data, tmp_path, changed, said):
    with pytest.raises(UserError, match=said):
        rows.rows_of({**data, "id": write(tmp_path / "x.jsonl", [{**row(0), **changed}])})


def test_a_model_without_a_system_turn_reads_both_as_the_users(data, tmp_path):
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
    data |= {"id": write(tmp_path / "x.jsonl", [{**row(0), "prompt": prompt}]), "system_role": False}
    assert rows.rows_of(data)["id"][0]["prompt"] == [{"role": "user", "content": "Be brief.\n\n1 + 1?"}]
