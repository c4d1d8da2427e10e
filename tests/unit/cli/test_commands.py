import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from gapo_lab.cli.runs import main
from gapo_lab.runs.folder import RunFolder

SPEC = {
    "study": "table2",
    "model": "nano",
    "algo": "grpo",
    "tau": None,
    "seed": 3,
    "data": "micro",
    "scale": "nano",
    "backend": "cpu",
    "overrides": [],
    "science": {},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = RunFolder.open(tmp_path / "runs", "abc123", SPEC)
    attempt = folder.start_attempt()
    folder.write_status(total_steps=60)
    attempt.append_metrics(0, {"val/id/em": 0.25, "val/ood/em": 0.125})
    attempt.append_metrics(7, {"train/reward": 0.5})
    attempt.log_path.write_text("one\ntwo\n")
    return folder


def test_status_shows_every_run(run, capsys):
    RunFolder.open(run.path.parent, "broken", SPEC | {"study": "x"})
    (run.path.parent / "broken" / "status.json").write_text("{")
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert [word in said for word in ("abc123", "nano grpo seed=3", "running", "7/60", "25.0%", "12.5%")] == [
        True
    ] * 6
    assert "not valid JSON" in said
    assert main(["status", "table2"]) == 0
    assert "broken" not in capsys.readouterr().out


def test_status_says_how_a_run_ended(run, capsys):
    run.write_status(state="failed", message="out of memory [/red]", remedy="use scale=nano")
    assert main(["status"]) == 0
    assert "out of memory [/red]; use scale=nano" in capsys.readouterr().out


def test_nothing_there(tmp_path, capsys):
    assert main(["--root", str(tmp_path), "status"]) == 0
    assert "no runs in" in capsys.readouterr().out
    assert main(["--root", str(tmp_path), "sync"]) == 0


@pytest.mark.parametrize("command", ["status", "cancel", "retry", "sync"])
def test_a_word_that_names_nothing_is_told_with_the_nearest(run, capsys, command):
    assert main([command, run.spec["study"][:-1] + "x"]) == 2
    told = capsys.readouterr().err
    assert f"did you mean {run.spec['study']}?" in told and len(told.splitlines()) == 1


def test_logs_by_the_beginning_of_the_key(run, capsys):
    assert main(["logs", "abc"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


def test_logs_follow_until_the_run_ends(run, capsys):
    def go_on():
        with open(run.attempts()[-1].log_path, "a") as file:
            time.sleep(0.2)
            file.write("three\n")
        run.write_status(state="finished")

    thread = threading.Thread(target=go_on)
    thread.start()
    assert main(["logs", "-f", "abc123"]) == 0
    thread.join()
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


@pytest.mark.parametrize("words", [["logs", "abd123"], ["sync", "abd123"]])
def test_an_unknown_run_names_the_nearest(run, capsys, words):
    assert main(words) == 2
    assert "did you mean abc123?" in capsys.readouterr().err


def test_sync_to_a_server_that_is_away(run, capsys):
    assert main(["sync", "abc123", "--uri", "http://127.0.0.1:9"]) == 1
    assert "MLflow at http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


def test_sync_says_which_folder_it_could_not_copy(run, capsys, tmp_path):
    (run.attempts()[0].metrics_path).write_text("rubbish\n")
    assert main(["sync"]) == 1
    out, err = capsys.readouterr()
    assert "abc123: not copied: UserError" in err and out.endswith("0 copied, 1 not\n")


def test_sync_copies(run, capsys, tmp_path):
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "copying 1 run to sqlite:///mlflow.db\n1 copied\n"
    assert (tmp_path / "mlflow.db").exists()


def test_ui_before_there_is_anything(run, capsys):
    assert main(["ui"]) == 2
    assert "mlflow.db is not there" in capsys.readouterr().err
    assert main(["ui", "--uri", "http://tracker:5000"]) == 0


def test_ui_on_a_port_that_is_taken(run, capsys, tmp_path):
    (tmp_path / "mlflow.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 2
    assert f"port {port} is taken" in capsys.readouterr().err


def test_showing_imports_nothing_heavy():
    heavy = ("torch", "verl", "ray", "mlflow", "pandas", "numpy", "transformers")
    code = (
        "import sys, gapo_lab.cli.runs, gapo_lab.runs.folder, gapo_lab.runs.provenance, gapo_lab.tracking.live_copy;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert out.stdout == "[]\n"
