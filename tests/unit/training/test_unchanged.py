"""A run trains on what it was planned with: data and models that were edited while it waited are refused."""

from __future__ import annotations

import shutil

import pytest
from omegaconf import OmegaConf

from gapo_lab.errors import UserError
from gapo_lab.paths import NANO
from gapo_lab.planning.plan import draft
from gapo_lab.training.unchanged import check
from gapo_lab.utils.dotted import unflatten

ROW = '{"prompt": "1 + 1 =", "reward_model": {"ground_truth": "2"}}\n'


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A run on rows, a model folder and a template of one's own: its configuration as its job reads it, its science."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text(ROW * 40)
    (tmp_path / "id.jsonl").write_text(ROW)
    shutil.copytree(NANO / "checkpoint", tmp_path / "mine")
    words = ("data=parquet", "data.train=t.jsonl", "data.id=id.jsonl", "reward=gsm8k", "model=mine", "seed=0")
    (run,) = draft([words])
    assert run.spec, run.why
    return OmegaConf.create(unflatten(run.settings)), run.spec.science


def test_what_is_as_it_was_planned_passes_also_where_it_was_touched(planned, tmp_path):
    check(*planned)
    for name in ("t.jsonl", "mine/config.json"):
        (tmp_path / name).touch()
    check(*planned)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("t.jsonl", "one of data.train=t.jsonl, data.id=id.jsonl has changed since the run was planned. Give the same"),
        ("id.jsonl", "one of data.train=t.jsonl, data.id=id.jsonl has changed"),
        ("mine/model.safetensors", "/mine has changed since the run was planned"),
        ("mine/tokenizer.json", "/mine: its tokenizer, chat template or configuration has changed"),
        ("mine/chat_template.jinja", "/mine: its tokenizer, chat template or configuration has changed"),
    ],
)
def test_an_edit_while_a_run_waits_is_refused(planned, tmp_path, name, says):
    with open(tmp_path / name, "a") as file:
        file.write("\n")
    with pytest.raises(UserError) as caught:
        check(*planned)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_whose_spec_says_nothing_of_them_is_not_held_up(planned, tmp_path):
    (tmp_path / "t.jsonl").write_text(ROW)
    check(planned[0], {})
