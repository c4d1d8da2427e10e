"""Describing and validating files of tasks: ours, other people's, and broken ones."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from little_repos import SUFFIXES, grow
from rich.console import Console

from gapo_lab.cli.data import main
from gapo_lab.data import length_table, task_view
from gapo_lab.data.mining import dataset
from gapo_lab.data.mining.miner import mine
from gapo_lab.data.prepared_key import MAKES_ROWS, code_digest
from gapo_lab.data.tasks.task import Hunk, Task
from gapo_lab.paths import PACKAGE


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("files")
    repo = grow(root / "all", [f"a.{suffix}" for suffix in SUFFIXES.values()], 12)
    dataset.make([repo], root / "out", dataset.Options(), workers=1)
    return root / "out"


def foreign(path: Path, **changes) -> Path:
    """Two rows as anybody's script writes them for verl."""
    row = {
        "data_source": "x",
        "prompt": [{"role": "user", "content": "fix it"}],
        "reward_model": {"style": "rule", "ground_truth": "done"},
        "extra_info": {"id": "1"},
    }
    pq.write_table(pa.Table.from_pylist([row, {**row, "extra_info": {"id": "2"}, **changes}]), path)
    return path


def test_table_1_is_what_counting_gives(folder):
    rows = pq.read_table(folder / "train.parquet").to_pylist()
    *lines, total = length_table.table(folder / "train.parquet")
    assert [line.language for line in lines] != sorted(line.language for line in lines) or len(lines) == 10
    assert {line.language for line in lines} == set(length_table.NAMES.values())
    assert [line.count for line in lines] == sorted((line.count for line in lines), reverse=True)
    for line in [*lines, total]:
        own = [r for r in rows if line is total or length_table.NAMES[r["extra_info"]["language"]] == line.language]
        inputs = [sum(len(m["content"]) for m in r["prompt"]) for r in own]
        outputs = [len(r["reward_model"]["ground_truth"]) for r in own]
        assert (line.input, line.output) == ((min(inputs), max(inputs)), (min(outputs), max(outputs)))
        assert line.count == len(own) and line.percent == pytest.approx(100 * len(own) / len(rows))


def test_the_paper_s_own_line():
    line = length_table.Line("Go", (1925, 24883), (36, 717), 19549, 37.7074)
    total = length_table.Line("Total", (1925, 24883), (36, 833), 51844, 100.0)
    text = length_table.as_text([line, total]).splitlines()
    assert text[2].split() == ["Go", "1,925", "–", "24,883", "36", "–", "717", "19,549", "37.71%"]
    assert len({len(row) for row in text}) == 1
    assert "Go & 1,925 -- 24,883 & 36 -- 717 & 19,549 & 37.71\\% \\\\" in length_table.as_latex([line, total], "A_b")
    assert "\\caption{A\\_b}" in length_table.as_latex([line, total], "A_b")


def test_describe_prints_and_writes(folder, capsys):
    assert main(["describe", str(folder), "--example", "3"]) == 0
    said = capsys.readouterr().out
    assert "Percent" in said and "the edits so far" in said and "the reference answer" in said
    assert max(map(len, said.split("the edits so far")[1].splitlines())) <= 80
    rows = list(csv.DictReader((folder / "train.table.csv").open()))
    assert rows[-1]["language"] == "Total" and len(rows) == 11
    assert (folder / "train.table.txt").read_text() in said
    assert "\\toprule" in (folder / "id.table.tex").read_text()
    assert main(["describe", str(folder), "--example", "9999"]) == 2
    assert "has rows 0 to" in capsys.readouterr().err


def test_an_example_cannot_command_the_terminal():
    evil = "\x1b[2J\x07\x9b31m\u202e[red]x[/red]"
    task = Task(
        "1",
        "go",
        "replace",
        f"{evil}.go",
        (Hunk("p", evil, ""),),
        evil,
        evil,
        evil,
        3,
        evil + "!",
        evil,
        {"repository": evil, "commit": "c", "time": "t", "licence": evil},
    )
    console = Console(width=100, record=True, force_terminal=False, file=io.StringIO())
    task_view.show(task, console)
    said = console.export_text()
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said) and "[red]x[/red]" in said


def test_whole_data_are_fine(folder, tmp_path, capsys):
    assert main(["validate", str(folder)]) == 0
    assert "nothing wrong" in capsys.readouterr().out
    assert main(["validate", str(foreign(tmp_path / "a.parquet"))]) == 0


def rewritten(folder: Path, target: Path, change) -> Path:
    rows = pq.read_table(folder / "train.parquet").to_pylist()
    change(rows)
    target.mkdir()
    pq.write_table(
        pa.Table.from_pylist(rows, schema=pq.read_schema(folder / "train.parquet")), target / "train.parquet"
    )
    return target


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda rows: rows[1]["task"].update(prefix="other"),
            "the reference answer does not give the committed file in 1 of",
        ),
        (lambda rows: rows[1]["reward_model"].update(ground_truth=""), "no reference answer in 1 of"),
        (lambda rows: rows[2]["reward_model"].update(ground_truth=None), "no reference answer in 1 of"),
        (lambda rows: rows[1].update(prompt=[]), "no message in the prompt in 1 of"),
        (lambda rows: rows[1]["prompt"][0].update(role="robot"), "a role other than system, user, assistant"),
        (lambda rows: rows[1]["prompt"][1].update(content=""), "an empty message"),
        (lambda rows: rows[1].update(data_source=None), "no data_source"),
        (lambda rows: rows.append(rows[0]), "an example that stands twice in 1 of"),
        (lambda rows: rows.clear(), "no rows"),
    ],
)
def test_what_is_wrong_is_said(folder, tmp_path, capsys, change, says):
    assert main(["validate", str(rewritten(folder, tmp_path / "x", change))]) == 1
    assert says in capsys.readouterr().out


def test_a_changed_file_and_a_task_on_both_sides(folder, tmp_path, capsys):
    for name in ("about.json", "id.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    rows = pq.read_table(folder / "train.parquet")
    pq.write_table(
        pa.concat_tables([rows, pq.read_table(folder / "id.parquet").slice(0, 1)]), tmp_path / "train.parquet"
    )
    assert main(["validate", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "train.parquet: is not the file that was mined" in said
    assert "id.parquet: an example that is also in train.parquet in 1 of" in said


def test_what_cannot_be_read(folder, tmp_path, capsys):
    half = tmp_path / "half.parquet"
    half.write_bytes((folder / "train.parquet").read_bytes()[:5000])
    empty = tmp_path / "empty"
    empty.mkdir()
    lacking = tmp_path / "lacking.parquet"
    pq.write_table(pa.table({"prompt": ["text"]}), lacking)
    for words, code, says in (
        (["validate", str(half)], 2, "not a whole parquet file"),
        (["describe", str(half)], 2, "not a whole parquet file"),
        (["validate", str(empty)], 2, "no .parquet or .jsonl file in this folder"),
        (["validate", str(tmp_path / "nowhere")], 2, "no such file or folder"),
        (["validate", str(lacking)], 1, "no text column data_source, prompt.role"),
        (["describe", str(lacking)], 2, "no column prompt.content"),
    ):
        assert main(words) == code
        captured = capsys.readouterr()
        assert says in captured.out + captured.err and len((captured.out + captured.err).splitlines()) == 1


@pytest.mark.slow  # reads a tokenizer: transformers takes seconds to load
def test_rows_that_are_too_long_for_a_model(folder, capsys):
    from gapo_lab.paths import NANO

    words = [
        "validate",
        str(folder),
        "--model",
        str(NANO / "checkpoint"),
        "--max-prompt-length",
        "100",
    ]
    assert main(words) == 1
    assert "a prompt of over 100 tokens in" in capsys.readouterr().out


def test_mined_rows_come_back_as_tasks(folder):
    from gapo_lab.data.tasks.parquet_rows import read_tasks

    repo = folder.parent / "all"
    by_id = {task.id: task for task in mine(repo).tasks}
    back = list(read_tasks(folder / "id.parquet"))
    assert back and all(by_id[task.id] == strip(task, by_id[task.id]) for task in back)
    assert subprocess.run(["git", "-C", repo, "status", "--short"], capture_output=True, check=True)


def strip(task: Task, like: Task) -> Task:
    """An empty licence is not written back."""
    from dataclasses import replace

    return replace(task, provenance={**dict.fromkeys(like.provenance, ""), **task.provenance})


def test_only_code_that_makes_rows_counts_for_prepared_data(tmp_path):
    """A printer may change; the generator of edits, a folder further down, may not."""
    assert all((PACKAGE / "data" / name).is_dir() for name in MAKES_ROWS)
    place = tmp_path / "data"
    shutil.copytree(PACKAGE / "data", place, ignore=shutil.ignore_patterns("__pycache__"))
    before = code_digest(place)
    assert before == code_digest(PACKAGE / "data")
    with open(place / "task_view.py", "a") as file:
        file.write("# a remark\n")
    assert code_digest(place) == before
    with open(place / "micro" / "edit_kinds.py", "a") as file:
        file.write("# a remark\n")
    changed = code_digest(place)
    assert changed != before
    (place / "micro" / "more").mkdir()
    (place / "micro" / "more" / "kinds.py").write_text("")
    assert code_digest(place) not in (before, changed)
