"""What is written down of runs before they start."""

from __future__ import annotations

from rich.console import Console

from gapo_lab.cli.runs import main
from gapo_lab.launch import executor


def test_a_run_that_waits_says_how_many_steps_it_has(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = executor.plan_of([("scale=rehearsal", "rehearsal.steps=7", "seed=0")])
    executor.hand_over(tmp_path / "runs", made.runs, Console(quiet=True))
    assert main(["status"]) == 0
    assert "queued   0/7" in capsys.readouterr().out
