"""A disk without room for the checkpoints: the plan says so, nothing is started, and nothing is left of the try."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.console import Console

from gapo_lab.cli.runs import main
from gapo_lab.errors import UserError
from gapo_lab.launch import executor

# two checkpoints of 91 GB
WORDS = ("model=qwen_coder_7b", "cluster=slurm", "data=micro", "seed=0")
SAID = "run_root=runs: 10 GB are free and the checkpoints of 1 run take 180 GB. Take another run_root"


@pytest.fixture(autouse=True)
def _full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(executor.shutil, "disk_usage", lambda path: SimpleNamespace(free=10e9))


def test_a_plan_ends_with_2_and_the_remedy(tmp_path, capsys):
    assert main(["plan", *WORDS]) == 2
    assert SAID in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert main(["plan", *WORDS, "check_disk=false"]) == 0


def test_no_folder_is_claimed(tmp_path):
    with pytest.raises(UserError, match="10 GB are free"):
        executor.carry_out(executor.plan_of([WORDS]), console=Console(quiet=True))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".submit.lock"]
    # so the next plan begins anew
    (run,) = executor.plan_of([WORDS]).runs
    assert run.action is executor.Action.RUN and not run.why
