"""Copying to MLflow while a run goes on."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from copied_runs import finish, make, table, train

from gapo_lab.tracking import live_copy, mlflow_client

pytestmark = pytest.mark.slow  # a real MLflow


def test_follow_copies_while_the_run_goes_on_and_to_the_end(tmp_path, database):
    folder = make(tmp_path)
    train(folder, range(2))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gapo_lab.tracking.live_copy",
            str(folder.path),
            "--uri",
            database,
            "--every",
            "0.1",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        until = time.time() + 300
        while time.time() < until and table(database, "SELECT COUNT(*) FROM metrics")[0][0] < 6:
            time.sleep(0.1)
        assert table(database, "SELECT status FROM runs WHERE name LIKE '%seed=0'") == [("RUNNING",)]
        train(folder, range(2, 4))
        finish(folder)
        said, _ = process.communicate(timeout=300)
        assert (process.returncode, said) == (0, "")
        assert table(database, "SELECT status FROM runs WHERE name LIKE '%seed=0'") == [("FINISHED",)]
        assert len(table(database, "SELECT 1 FROM metrics WHERE key='train/reward'")) == 4
    finally:
        process.kill()
        process.wait()


def test_follow_gives_up_with_one_line_when_mlflow_is_away(tmp_path):
    folder, said = make(tmp_path), []
    train(folder, range(2))
    finish(folder)
    assert not live_copy.follow(folder, "http://127.0.0.1:9", at_the_end=0.0, say=said.append)
    assert len(said) == 1 and "nothing is lost; to copy the run later: " in said[0]
    assert said[0].endswith(f"-m gapo_lab --root {folder.path.parent} sync run0")


def test_follow_survives_mlflow_being_away_for_a_while(tmp_path, database, monkeypatch):
    folder, said, tries = make(tmp_path), [], []
    train(folder, range(2))
    connect = mlflow_client.connect

    def away_at_first(address):
        tries.append(address)
        if len(tries) < 3:
            raise ConnectionError("refused")
        finish(folder) if len(tries) == 3 else None
        return connect(address)

    monkeypatch.setattr(mlflow_client, "connect", away_at_first)
    assert live_copy.follow(folder, database, every=0.01, say=said.append)
    assert said == ["MLflow: ConnectionError: refused; the run goes on, and copying is tried again"]
    assert table(database, "SELECT COUNT(*) FROM metrics WHERE key='train/reward'") == [(2,)]
