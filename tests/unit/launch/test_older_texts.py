"""A file of the user's that was edited after its run failed: the old run is named, and what removes it."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from gapo_lab.cli.runs import main
from gapo_lab.launch import executor
from gapo_lab.runs.folder import RunFolder
from gapo_lab.supervision.supervisor import Supervisor

WORDS = ("scale=rehearsal", "seed=0", "study=broken", "reward=reward.py:compute_score")


def started(tmp_path) -> RunFolder:
    made = executor.plan_of([WORDS])
    executor.hand_over(tmp_path / "runs", made.runs, Console(width=400))
    return RunFolder(tmp_path / "runs" / made.runs[0].key)


@pytest.fixture
def failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reward.py").write_text("def compute_score(**_):\n    return 1 / 0\n")
    folder = started(tmp_path)
    attempt = folder.start_attempt()
    attempt.log_path.write_text("ZeroDivisionError: division by zero\n")
    supervisor = Supervisor(folder, Console(quiet=True), tmp_path)
    supervisor._began, supervisor._before = time.monotonic(), 0.0
    supervisor._write_failure(attempt, 1)
    return folder


def test_status_says_that_an_edit_makes_another_run(failed, capsys):
    capsys.readouterr()
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert (
        f"an edit of reward.py makes another run; then remove this one: python -m gapo_lab forget {failed.key}" in said
    )


def test_the_fixed_run_names_the_one_that_it_replaces(failed, tmp_path, capsys):
    capsys.readouterr()
    main(["plan", *WORDS])
    assert "another text" not in capsys.readouterr().out  # it would retry the same one
    (tmp_path / "reward.py").write_text("def compute_score(**_):\n    return 1.0\n")
    removed = f"python -m gapo_lab forget {failed.key} --with-results"
    main(["plan", *WORDS])
    assert removed in capsys.readouterr().out
    assert started(tmp_path).key != failed.key
    said = capsys.readouterr().out
    assert "1 run stopped with another text of reward.py: the study still waits for it" in said and removed in said


def test_retry_names_the_file_and_both_ways_on(failed, tmp_path, capsys):
    (tmp_path / "reward.py").write_text("def compute_score(**_):\n    return 1.0\n")
    capsys.readouterr()
    assert main(["retry", "broken"]) == 2
    said = capsys.readouterr().err
    assert "reward.py has changed, which makes it another run" in said
    assert f"forget {failed.key} --with-results" in said
