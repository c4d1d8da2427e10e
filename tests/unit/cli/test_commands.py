import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from databases import give_database

from gapo_lab.cli.runs import main
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import find
from gapo_lab.runs.studies import of_study, remember
from gapo_lab.utils.processes import Process

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
    folder.report(step=7)
    attempt.log_path.write_text("one\ntwo\n")
    return folder


def test_status_shows_every_run(run, capsys):
    RunFolder.open(run.path.parent, "broken", SPEC | {"study": "x"})
    (run.path.parent / "broken" / "status.json").write_text("{")
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert [word in said for word in ("abc123", "nano grpo", "3  running", "7/60", "25.0%", "12.5%")] == [True] * 6
    assert "not valid JSON" in said and said.endswith("2 runs in 1 cell: 1 running, 1 broken\n")
    assert main(["status", "table2"]) == 0
    assert "broken" not in capsys.readouterr().out


def test_status_says_how_a_run_ended(run, capsys):
    run.write_status(state="failed", message="out of memory [/red]", remedy="use scale=nano")
    assert main(["status"]) == 0
    again = "the same command starts anew (no checkpoint yet)"
    assert f"(1) abc123 failed: out of memory [/red]\n    use scale=nano; {again}\n" in capsys.readouterr().out


def test_status_shows_where_an_attempt_resumes_and_not_what_the_last_one_did_after(run, capsys):
    """Attempt 1 has recorded step 7 and saved step 5."""
    (run.path / "checkpoints" / "global_step_5" / "actor").mkdir(parents=True)
    (run.path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("5")
    run.attempts()[0].append_metrics(5, {"train/reward": 0.5})
    run.start_attempt()
    assert main(["status"]) == 0
    assert "running  5/60" in capsys.readouterr().out


def made(root, algo, seed, lr=None, **status):
    science = {"algo": algo} | ({"actor_rollout_ref.actor.optim.lr": lr} if lr else {})
    spec = SPEC | {"algo": algo, "seed": seed, "science": science, "differs": {"lr": lr} if lr else {}}
    folder = RunFolder.open(root, f"{algo}{lr or ''}{seed}", spec)
    folder.write_status(**{"state": "finished", "total_steps": 60, **status})
    if status.get("state", "finished") == "finished":
        folder.write_summary({"best/id/em": 0.1 * seed, "best/ood/em": 0.5, "final/step": 60})
    return folder


def test_status_is_sorted_and_grouped_by_cell_with_means(tmp_path, capsys):
    root = tmp_path / "runs"
    for seed in (10, 9, 2):
        made(root, "grpo", seed)
        made(root, "dapo", seed, lr=1e-4)
    made(root, "dapo", 3, lr=1e-4, state="queued")
    made(root, "dapo", 1, lr=2e-4)
    assert main(["--root", str(root), "status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("nano ")] == [
        "nano dapo lr=1e-4  3 of 4 finished, mean best ID 70.0%, OOD 50.0%",
        "nano dapo lr=2e-4  1 of 1 finished, mean best ID 10.0%, OOD 50.0%",
        "nano grpo  3 of 3 finished, mean best ID 70.0%, OOD 50.0%",
    ]
    assert [line.split()[1] for line in lines if line.startswith(("dapo", "grpo"))] == [
        "2",
        "3",
        "9",
        "10",
        "1",
        "2",
        "9",
        "10",
    ]
    assert "  best ID em  best OOD em  " in lines[0]
    assert lines[-1] == "8 runs in 3 cells: 7 finished, 1 queued"
    assert main(["--root", str(root), "status", "--cells"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_named_test_sets_are_shown_by_the_measure_that_was_asked_for(tmp_path, capsys):
    best = {"best/id/acc": 0.5, "best/aime/acc": 0.25, "best/amc/acc": 0.75}
    RunFolder.open(tmp_path, "grpo0", SPEC).write_status(state="finished", total_steps=60)
    RunFolder(tmp_path / "grpo0").write_summary({**best, "final/step": 60})
    assert main(["--root", str(tmp_path), "status"]) == 0
    assert "1 of 1 finished, mean best acc ID 50.0%, aime 25.0%, amc 75.0%" in capsys.readouterr().out


def test_a_message_that_many_runs_share_is_said_once(tmp_path, capsys):
    for seed in range(30):
        said = f"SLURM: NODE_FAIL on n1 (job 36_{seed}, exit code 0:0)"
        folder = made(tmp_path / "runs", "grpo", seed, state="interrupted")
        folder.start_attempt().append_metrics(seed + 1, {"train/reward": 0.5})
        folder.write_status(state="interrupted", message=said, remedy="look")
        (folder.checkpoints / f"global_step_{seed + 1}" / "actor").mkdir(parents=True)
        (folder.checkpoints / "latest_checkpointed_iteration.txt").write_text(str(seed + 1))
    assert main(["--root", str(tmp_path / "runs"), "status"]) == 0
    said = capsys.readouterr().out
    shared = (
        "(1) 30 runs interrupted: SLURM: NODE_FAIL on n1 (exit code 0:0)\n "
        "   look; the same command resumes from steps 1 to 30"
    )
    assert shared in said
    assert said.count("NODE_FAIL") == 1 and said.count("(1)") == 31


def test_messages_that_differ_in_their_step_only_are_one(tmp_path, capsys):
    for seed in (1, 5):
        again = f"python -m gapo_lab retry grpo{seed} resumes from step {seed}"
        made(tmp_path / "runs", "grpo", seed, state="interrupted", message="cancelled", remedy=again)
    assert main(["--root", str(tmp_path / "runs"), "status"]) == 0
    said = capsys.readouterr().out
    assert "(1) 2 runs interrupted: cancelled\n    python -m gapo_lab retry RUN resumes from steps 1 to 5" in said


# forget


def test_forget_removes_what_never_started_and_keeps_the_rest(run, tmp_path, capsys):
    root = run.path.parent
    for seed in range(3):
        made(root, "grpo", seed, state="interrupted", message="was not started")
    saved = made(root, "dapo", 0, state="failed", message="out of memory")
    (saved.checkpoints / "global_step_20").mkdir(parents=True)
    untrained = made(root, "dapo", 2, state="failed", message="no such module")
    untrained.start_attempt().append_metrics(0, {"val/id/em": 0.25})
    untrained.write_status(state="failed")
    made(root, "dapo", 1)
    remember(root, [("table2", key.name) for key in root.glob("*")])
    left = {"abc123", "dapo0", "dapo1"}
    assert main(["forget", "all", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("would remove 4 runs\n") and len(find(root)) == 7
    assert main(["forget", "table2"]) == 0
    said = capsys.readouterr().out
    assert {folder.key for folder in find(root)} == set(of_study(root, "table2")) == left
    assert "removed 4 runs\n" in said and "kept 1 run (dapo1): a result" in said
    assert "kept 1 run (abc123): running; python -m gapo_lab cancel" in said
    assert "kept 1 run (dapo0): a checkpoint" in said and "--with-results" in said
    assert main(["forget", "dapo0", "--with-results"]) == 0
    assert "dapo0 nano dapo seed=0, which had a checkpoint" in capsys.readouterr().out
    assert main(["forget", "all", "--with-results"]) == 0
    assert {folder.key for folder in find(root)} == left - {"dapo0"}


def test_nothing_there(tmp_path, capsys):
    assert main(["--root", str(tmp_path), "status"]) == 0
    assert "no runs in" in capsys.readouterr().out
    assert main(["--root", str(tmp_path), "sync"]) == 0


@pytest.mark.parametrize(
    ("state", "words", "hint"),
    [
        ("failed", ["status", "nosuch"], "status"),
        ("failed", ["logs", "abc123"], "watch"),
        ("failed", ["ui"], "sync"),
        ("failed", ["evaluate", "abc123"], "status"),
        ("running", ["forget", "abc123"], "cancel"),
    ],
)
def test_a_hint_names_the_folder_of_the_runs_where_it_is_not_the_usual_one(run, tmp_path, capsys, state, words, hint):
    run.write_status(state=state)
    run.attempts()[-1].log_path.unlink()
    root = run.path.parent.rename(tmp_path / "else where")
    main(["--root", str(root), *words])
    said = "".join(capsys.readouterr())
    assert f"python -m gapo_lab --root '{root}' {hint}" in said
    root.rename(tmp_path / "runs")
    main(words)
    assert f"python -m gapo_lab {hint}" in "".join(capsys.readouterr())


@pytest.mark.parametrize("command", ["status", "cancel", "retry", "sync"])
def test_a_word_that_names_nothing_is_told_with_the_nearest(run, capsys, command):
    assert main([command, run.spec["study"][:-1] + "x"]) == 2
    told = capsys.readouterr().err
    assert f"did you mean {run.spec['study']}?" in told and len(told.splitlines()) == 1


def test_logs_by_the_beginning_of_the_key(run, capsys):
    assert main(["logs", "abc"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


def test_logs_are_without_colours_where_there_is_no_terminal(run, capsys):
    run.attempts()[0].log_path.write_text("\x1b[36m(TaskRunner pid=1)\x1b[0m one\n")
    assert main(["logs", "abc"]) == 0
    assert capsys.readouterr().out == "(TaskRunner pid=1) one\n"


def test_logs_say_at_the_end_why_a_run_has_stopped(run, capsys):
    """Where it was killed, its log says nothing of that."""
    killed = subprocess.Popen([sys.executable, "-c", "pass"])
    killed.wait()
    run.write_status(process=replace(Process.here(), pid=killed.pid))
    assert main(["logs", "abc"]) == 0
    said = capsys.readouterr()
    assert said.out == "one\ntwo\n" and said.err.startswith("run abc123: interrupted\n")
    assert said.err.endswith("-> the same command starts anew (no checkpoint yet)\n")


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


def test_sync_says_which_folder_it_could_not_copy(run, capsys, tmp_path, empty_mlflow):
    give_database(tmp_path, empty_mlflow)
    (run.attempts()[0].metrics_path).write_text("rubbish\n")
    assert main(["sync"]) == 1
    out, err = capsys.readouterr()
    assert "abc123: not copied: UserError" in err and out.endswith("0 copied, 1 not\n")


@pytest.mark.slow  # the whole database is made
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
