"""zeta and EditEval, on rows written in their formats: finding, reading, rendering, scoring."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.data.mining.format import mined_digest
from gapo_lab.data.ood import editeval, zeta
from gapo_lab.data.ood import registry as ood
from gapo_lab.data.tasks.prompt import messages
from gapo_lab.errors import UserError
from gapo_lab.planning.spec import make_spec
from gapo_lab.planning.validation import check
from gapo_lab.training.reward_function import compute_score

EVENTS = (
    'User edited "src/main.rs":\n\n```diff\n@@ -1,3 +1,3 @@\n fn a() {\n-    one();\n+    two();\n }\n```\n\n'
    'User edited "src/lib.rs":\n\n```diff\n@@ -5,1 +5,2 @@\n+    three();\n```'
)
HEAD, TAIL = (
    "```src/main.rs\n<|start_of_file|>\nfn a() {\n<|editable_region_start|>\n",
    "\n<|editable_region_end|>\n}\n```",
)
ROW = {
    "events": EVENTS,
    "input": HEAD + "    two();\n    thr<|user_cursor_is_here|>" + TAIL,
    "output": HEAD + "    two();\n    three();" + TAIL,
}
EDIT = {
    "task_id": "EditEval/7",
    "instruction": "Return two. ",
    "context": "",
    "input": "def f():\n    return 1",
    "output": "def f():\n    return 2",
    "test": "",
}


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tmp_path


def jsonl(path: Path, *rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_zeta_row_as_a_task():
    task = zeta.task(ROW, 0)
    assert [(h.path, h.before, h.after) for h in task.history] == [
        ("src/main.rs", "    one();\n", "    two();\n"),
        ("src/lib.rs", "", "    three();\n"),
    ]
    assert (task.path, task.language) == ("src/main.rs", "rust")
    assert task.code == "fn a() {\n\n    two();\n    thr\n\n}"
    assert task.region[: task.cursor].endswith("thr") and task.truth == "\n    two();\n    three();\n"
    assert "<|" not in task.code + task.truth
    assert "three" in messages(task)[1]["content"]


def test_zeta_in_its_own_words():
    prompt = zeta.prompt(ROW)
    parts = [
        "### Instruction:\n",
        "### User Edits:\n\n" + EVENTS,
        "### User Excerpt:\n\n" + ROW["input"],
        "### Response:\n",
    ]
    places = [prompt.index(part) for part in parts]
    assert places == sorted(places)
    assert zeta.target(ROW["output"]).startswith("<|editable_region_start|>\n    two();")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a<|editable_region_start|>b<|user_cursor_is_here|>c<|editable_region_end|>d", "bc"),
        ("<|editable_region_start|><|editable_region_end|>", ""),
        ("<|editable_region_end|>x<|editable_region_start|>", None),
        ("<|editable_region_start|>x", None),
        ("x<|editable_region_end|>", None),
        ("<|editable_region_start|>" * 2 + "x<|editable_region_end|>", None),
        ("", None),
    ],
)
def test_between_markers(text, want):
    assert zeta.between_markers(text) == want


def test_region_and_raw_answers_are_scored_apart():
    truth = zeta.target(ROW["output"])
    asked = {"answer": "region", "raw": True}
    region = "<|editable_region_start|>\n    two();\n    three();\n<|editable_region_end|>"
    exact = compute_score("ood", truth + "\n", truth, asked)
    assert (exact["em"], exact["em_raw"], exact["score"]) == (1.0, 1.0, 1.0)
    inside = compute_score("ood", "Sure: " + region, truth, asked)
    assert (inside["em"], inside["em_raw"]) == (1.0, 0.0)
    bare = compute_score("ood", "    two();\n    three();", truth, asked)
    assert (bare["em"], bare["em_raw"]) == (0.0, 0.0) and bare["score"] < 0.5
    assert compute_score("id", "x", "x", {"answer": "text", "raw": True})["em_raw"] == 1.0
    assert "em_raw" not in compute_score("id", "x", "x", {"answer": "text", "raw": False})
    assert compute_score("train", "x", "x") == {"score": 1.0, "em": 1.0, "similarity": 1.0}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({**ROW, "events": None}, "zeta row 3: no text in `events`"),
        ({**ROW, "output": "no markers"}, "zeta row 3: `output` has not exactly one"),
        ({**ROW, "input": "<|editable_region_start|>"}, "zeta row 3: `input` has not exactly one"),
    ],
)
def test_a_broken_zeta_row(row, says):
    with pytest.raises(UserError, match=says):
        zeta.task(row, 3)


def test_editeval():
    task = editeval.task(EDIT, 0)
    assert (task.id, task.instruction, task.history, task.language) == (
        "EditEval/7",
        "Return two.",
        (),
        "python",
    )
    assert task.edited == EDIT["output"] and task.kind == "replace"
    with pytest.raises(UserError, match="editeval row 0: no text in `output`"):
        editeval.task({"instruction": "", "input": ""}, 0)


def test_where_a_set_is_looked_for(here):
    for name in ood.SOURCES:
        with pytest.raises(
            UserError, match=rf"data.ood={name}: the set is not on this machine; fetch it: .*data/ood/{name}"
        ) as e:
            ood.find(name)
        assert "\n" not in str(e.value)
    with pytest.raises(UserError, match="./nowhere is not there"):
        ood.find("zeta", "./nowhere")
    jsonl(here / "data/ood/zeta/train.jsonl", ROW)
    with pytest.raises(UserError, match="no dpo"):
        ood.find("zeta")
    inside = jsonl(here / "data/ood/zeta/dpo.jsonl", ROW, {**ROW, "rejected": "a\u2028b"})
    assert ood.find("zeta").resolve() == inside
    assert ood.read("zeta") == ood.read("zeta", "data/ood/zeta") == [ROW, {**ROW, "rejected": "a\u2028b"}]
    pq.write_table(pa.Table.from_pylist([ROW]), here / "dpo-00000.parquet")
    assert ood.read("zeta", str(here / "dpo-00000.parquet")) == [ROW]
    edits = jsonl(here / "data/ood/editeval/edit_eval/edit_eval.jsonl", EDIT)
    assert ood.find("editeval").resolve() == edits


def test_a_set_that_hugging_face_s_tools_have_fetched(here):
    snapshot = here / "hf/hub/datasets--zed-industries--zeta"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs/main").write_text("a" * 40)
    jsonl(snapshot / "snapshots" / ("a" * 40) / "dpo.jsonl", ROW)
    script = "from gapo_lab.data.ood import registry; print(len(registry.read('zeta')))"
    import os
    import subprocess
    import sys

    from lab import REPO

    env = {**os.environ, "HF_HOME": str(here / "hf"), "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize("text", ["not json\n", "[1]\n", "\xff", ""])
def test_a_set_that_cannot_be_read(here, text):
    path = here / "dpo.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as e:
        ood.read("zeta", str(path))
    assert "\n" not in str(e.value) and "dpo.jsonl" in str(e.value)


@pytest.mark.slow
def test_a_run_says_which_rows_it_saw(here):
    for word, says in (
        ("data.ood=zeta", "fetch it"),
        ("data.ood=other", "there are micro, .*zeta, editeval"),
        ("data.ood_prompt=mine", "must be one of own, template"),
    ):
        with pytest.raises(UserError, match=says):
            check(compose_run([word]))
    path = jsonl(here / "data/ood/zeta/dpo.jsonl", ROW)
    words = ["data.ood=zeta"]
    check(compose_run(words))
    first = make_spec(compose_run(words))
    moved = jsonl(here / "elsewhere.jsonl", ROW)
    assert make_spec(compose_run([*words, f"data.ood_path={moved}"])).key == first.key
    jsonl(path, ROW, ROW)
    assert make_spec(compose_run(words)).key != first.key
    assert make_spec(compose_run([])).science.get("data.content") is None


@pytest.mark.slow
def test_a_run_on_mined_data_says_which_commits_it_saw(here):
    from little_repos import TWICE, code, commit, init

    from gapo_lab.data.mining import dataset

    repo = init(here / "r")
    for day in range(3):
        commit(
            repo,
            {f"{name}.py": code(l9=name, l40=f"{day}") if day % 2 else TWICE + name for name in "abcdefgh"},
            day=day,
        )
    words = ["data=git", "data.repos=[r]"]
    first = make_spec(compose_run(words))
    (here / "r").rename(here / "s")
    assert make_spec(compose_run(["data=git", "data.repos=[s]"])).key == first.key, "where it lies is nothing"
    commit(here / "s", {"z.py": "x\n"})
    assert make_spec(compose_run(["data=git", "data.repos=[s]"])).key != first.key
    with pytest.raises(UserError, match="out: no mined data here"):
        check(compose_run(["data=git", "data.path=out"]))
    about = dataset.make(["s"], here / "out", dataset.Options(near=False), workers=1)
    few = ("data.train_batch_size=8", "actor_rollout_ref.actor.ppo_mini_batch_size=8")
    check(compose_run(["data=git", "data.path=out", *few]))
    assert mined_digest(here / "out") == about["digest"]
    with pytest.raises(UserError, match="data.repos: no repository"):
        check(compose_run(["data=git", "data.repos=[]"]))
