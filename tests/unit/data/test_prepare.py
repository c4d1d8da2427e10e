"""Data are made once, whoever comes first, and not with a tokenizer that loses text."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from little_repos import grow
from omegaconf import OmegaConf
from transformers import AutoTokenizer

from gapo_lab.cli.data import main
from gapo_lab.config.compose import compose_run
from gapo_lab.data import prepare as preparing
from gapo_lab.data.tokenizer_check import check_tokenizer, lost
from gapo_lab.errors import UserError
from gapo_lab.models.nano import tokenizer as nano
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.train import write_down

# processes that are forked with the tokenizer: transformers takes seconds to load
pytestmark = pytest.mark.slow
SMALL = ("data.train_size=40", "data.id_size=8", "data.ood_size=8", "data.train_batch_size=8")
PROCESSES = 4


def node(*overrides: str) -> dict:
    return OmegaConf.to_container(compose_run(overrides).data, resolve=True)


def _prepare(data: dict, root: Path, barrier, log: Path) -> None:
    tasks = preparing.TASKS[data["name"]]

    def counted(*given):
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        return tasks(*given)

    preparing.TASKS[data["name"]] = counted
    barrier.wait()
    preparing.prepare(data, nano.load(), root)


def together(data: list[dict], root: Path, log: Path) -> list[int]:
    """Let real processes prepare these at the same moment; their exit codes."""
    nano.load()
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(data))
    processes = [context.Process(target=_prepare, args=(one, root, barrier, log)) for one in data]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        return [process.exitcode for process in processes]
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()


def test_jobs_of_one_array_that_start_together_on_new_data_make_them_once(tmp_path):
    codes = together([node(*SMALL)] * PROCESSES, tmp_path / "data", tmp_path / "log")
    assert codes == [0] * PROCESSES
    assert len((tmp_path / "log").read_text().split()) == 1
    (folder,) = (tmp_path / "data").glob("micro-*")
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", "train.parquet", "val.parquet"]
    assert pq.read_table(folder / "train.parquet").num_rows == 40


def test_runs_with_other_lengths_mine_the_same_repository_once(tmp_path):
    """Two models: other prepared rows, the same mined tasks below."""
    repo = grow(tmp_path / "repo", ["a.py", "b.go"], 12)
    words = (*SMALL[3:], "data=git", f"data.repos=[{repo}]", "data.id_size=4", "data.train_batch_size=4")
    data = [node(*words, f"data.max_prompt_length={length}") for length in (900, 1000)]
    assert together(data, tmp_path / "data", tmp_path / "log") == [0, 0]
    assert len(list((tmp_path / "data").glob("mined-*"))) == 1
    assert len(list((tmp_path / "data").glob("git-*"))) == 2


def test_where_the_file_system_has_no_locks_each_makes_them_and_all_go_on(tmp_path, monkeypatch):
    def no_locks(path):
        raise preparing.atomic_files.NoLocksError(f"{path}: no locks")

    monkeypatch.setattr(preparing.atomic_files, "locked", no_locks)
    assert together([node(*SMALL)] * 2, tmp_path / "data", tmp_path / "log") == [0, 0]
    (folder,) = (tmp_path / "data").glob("micro-*")
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", "train.parquet", "val.parquet"]


def test_a_template_that_was_moved_gives_the_same_rows(tmp_path):
    """A job reads the copy in its run folder: runs of a sweep share their data."""
    here, there = tmp_path / "a.txt", tmp_path / "b.txt"
    for path in (here, there):
        shutil.copy(Path(preparing.__file__).parent / "tasks" / "template.txt", path)
    made = [
        preparing.prepare(node(*SMALL, f"data.template={path}"), nano.load(), tmp_path / "data").folder
        for path in (here, there)
    ]
    assert made[0] == made[1]


def user_rows(path: Path, lengths: list[int]) -> Path:
    """A file of rows whose prompts have about so many tokens; the truth says at which place a row stood."""
    rows = [
        {"prompt": "a " * length, "reward_model": {"ground_truth": str(place)}} for place, length in enumerate(lengths)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def truths(path: Path) -> list[tuple[str, str]]:
    return [(row["data_source"], row["reward_model"]["ground_truth"]) for row in pq.read_table(path).to_pylist()]


def test_prompts_that_are_too_long_are_left_out_once_counted_and_told(tmp_path, capsys):
    lengths = {"train": [2, 300, 2, 2], "id": [2, 300], "dev": [2, 2], "near": [300, 300, 2], "far": [2]}
    files = {name: user_rows(tmp_path / f"{name}.jsonl", found) for name, found in lengths.items()}
    words = ["data=parquet", "reward=edit", "data.train_batch_size=2", "data.max_prompt_length=60"]
    words += [f"data.{name}={files[name]}" for name in ("train", "id", "dev")]
    words += [f"data.ood={{near: {files['near']}, far: {files['far']}}}"]
    prepared = preparing.prepare(node(*words), nano.load(), tmp_path / "data")
    assert prepared.about["too_long"] == {"train": 1, "id": 1, "dev": 0, "near": 2, "far": 0}
    assert prepared.about["rows"] == {"train": 3, "id": 1, "dev": 2, "near": 1, "far": 1}
    assert truths(prepared.train) == [("train", "0"), ("train", "2"), ("train", "3")]
    sampled = [("id", "0"), ("near", "2"), ("far", "0"), ("dev", "0"), ("dev", "1")]
    assert sorted(truths(prepared.val)) == sorted([*sampled, *((f"{name}_greedy", row) for name, row in sampled[:3])])

    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    write_down(prepared, folder)
    assert "longer than data.max_prompt_length or data.max_response_length: {'train': 1, 'id': 1, 'near': 2}" in (
        capsys.readouterr().out
    )
    assert json.loads((folder.path / "data.json").read_text())["too_long"]["near"] == 2


def test_answers_that_are_too_long_are_left_out_and_counted(tmp_path):
    words = ("data.train_size=40", "data.id_size=20", "data.ood_size=20", "data.dev_size=20")
    data = node(*words, "data.train_batch_size=2", "data.max_response_length=8")
    prepared, load = preparing.prepare(data, nano.load(), tmp_path / "data"), nano.load()
    kept, gone = prepared.about["rows"], prepared.about["too_long"]
    assert {name: kept[name] + gone[name] for name in kept} == {"train": 40, "id": 20, "dev": 20, "ood": 20}
    assert gone["train"] > 0
    lengths = [len(load.encode(truth, add_special_tokens=False)) for _, truth in truths(prepared.train)]
    assert len(lengths) == kept["train"] and max(lengths) < 8


@pytest.fixture
def as_deepseek(tmp_path: Path) -> Path:
    """A byte-level tokenizer.json whose tokenizer_config.json names Llama's class, as deepseek-coder has it."""
    folder = tmp_path / "model"
    shutil.copytree(nano.FOLDER, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    named(folder, "LlamaTokenizerFast")
    return folder


def named(folder: Path, kind: str) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": kind}))


def test_a_tokenizer_that_loses_spaces_is_refused_and_the_remedy_works(as_deepseek, capsys):
    with pytest.raises(UserError) as caught:
        check_tokenizer(AutoTokenizer.from_pretrained(as_deepseek), str(as_deepseek))
    said = str(caught.value)
    assert "became 'deff(a,b):returna+b'" in said and '"tokenizer_class": "PreTrainedTokenizerFast"' in said
    pq.write_table(pa.table({"data_source": ["x"]}), as_deepseek / "a.parquet")
    assert main(["validate", str(as_deepseek), "--model", str(as_deepseek)]) == 2
    assert "does not give back" in capsys.readouterr().err
    named(as_deepseek, "PreTrainedTokenizerFast")
    assert lost(AutoTokenizer.from_pretrained(as_deepseek)) is None


def test_shipped_tokenizers_give_back_what_they_are_given():
    assert lost(nano.load()) is None
