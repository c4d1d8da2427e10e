"""A run that has fewer examples than a batch is refused in the plan, whatever its data are."""

from __future__ import annotations

import json

import pytest
from little_repos import commit, init

from gapo_lab.config.fast_compose import Composer
from gapo_lab.data import set_sizes
from gapo_lab.data.prepare import mined_by_runs
from gapo_lab.planning import cost
from gapo_lab.planning.plan import Action, draft


@pytest.fixture(scope="module")
def planned():
    composer = Composer()
    return lambda *words: draft([words], composer)[0]


@pytest.fixture
def mined(tmp_path):
    about = {"digest": "0123456789abcdef", "rows": {"train": 84, "id": 6}}
    (tmp_path / "about.json").write_text(json.dumps(about))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "batch", "fitting"),
    [
        (("model=qwen_coder_7b", "cluster=slurm"), 512, "data.train_batch_size=64"),
        (("data.train_batch_size=128",), 128, "data.train_batch_size=80"),
        (("data.train_batch_size=128", "scale=rehearsal"), 128, "data.train_batch_size=80"),
    ],
)
def test_mined_edits_that_are_fewer_than_a_batch(planned, mined, words, batch, fitting):
    words = (*words, "data=git", f"data.path={mined}", "check_disk=false")
    run = planned(*words)
    assert run.action is Action.INVALID
    assert run.why == (
        f"data.path={mined}: has 84 examples to train on, less than one batch of data.train_batch_size={batch} "
        f"prompts. Give {fitting}, or mine more (docs/data.md)"
    )
    assert planned(*words, *fitting.split()).spec  # what is proposed is accepted


@pytest.fixture
def repo(tmp_path, monkeypatch):
    commit(init(tmp_path / "repo"), {"a.py": "one = 1\n"})
    monkeypatch.chdir(tmp_path)
    return "data.repos=[repo]"


def test_repositories_that_give_too_few_at_the_most(planned, repo):
    said = "data.repos=repo: has 18 examples to train on at the most (data.max_per_repo=20), less than one batch"
    assert said in planned("data=git", repo, "data.max_per_repo=20").why


def test_repositories_that_runs_have_mined_are_counted(planned, repo):
    run = planned("data=git", repo)
    assert run.spec and cost.rows_here(run.settings) == {}
    folder = mined_by_runs(run.node("data"), set_sizes.MADE_BY_RUNS)
    folder.mkdir(parents=True)
    (folder / "about.json").write_text(json.dumps({"digest": "0", "rows": {"train": 31, "id": 6}}))
    assert "data.repos=repo: has 31 examples to train on, less than one batch" in planned("data=git", repo).why
