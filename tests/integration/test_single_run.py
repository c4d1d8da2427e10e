"""One run, `gapo_lab.run` without -m, is a plan of one run. Rehearsals: everything but training."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import psutil
import pytest
from lab import PATIENCE, Lab, wait_until

from gapo_lab import run
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.studies import of_study
from gapo_lab.training.rehearsal import made_up

REHEARSE = ("scale=rehearsal", "rehearsal.seconds=0.05")
LONG = ("scale=rehearsal", "rehearsal.seconds=0.1", "rehearsal.steps=600")


def one(lab: Lab, *words: str, **env: str) -> subprocess.CompletedProcess:
    return lab.run(*REHEARSE, *words, tiny=False, **env)


def start_long(lab: Lab, *words: str, step: int = 3) -> tuple[subprocess.Popen, RunFolder]:
    """A run that would take a minute, once it has done some steps."""
    process = lab.start(*LONG, *words, tiny=False)
    wait_until(lambda: (lab.cwd / "runs").is_dir() and any(_steps(lab)) and max(_steps(lab)) >= step, process)
    return process, lab.folder()


def _steps(lab: Lab) -> list[int]:
    found = [RunFolder(path) for path in (lab.cwd / "runs").iterdir() if not path.name.startswith(".")]
    return [step for folder in found for attempt in folder.attempts()[-1:] for step in [r.step for r in attempt.rows()]]


def left_of(lab: Lab) -> list[str]:
    return [
        " ".join(p.info["cmdline"] or [])
        for p in psutil.process_iter(["cmdline", "cwd"])
        if (p.info["cwd"] or "").startswith(str(lab.cwd))
    ]


# What a sweep's runs have, a single run has


def test_it_runs_a_copy_of_the_code_belongs_to_its_study_and_tells_when_it_is_over(lab):
    told = "on_finish='echo $GAPO_LAB_STUDY $GAPO_LAB_FINISHED $GAPO_LAB_FAILED >> told'"
    done = one(lab, "study=alone", told)
    assert done.returncode == 0, done.stderr
    folder, root = lab.folder(), lab.cwd / "runs"
    assert (lab.cwd / "told").read_text() == "alone 1 0\n"
    assert of_study(root, "alone") == [folder.key]
    (record,) = (root / ".submissions").glob("*.json")
    code = json.loads(record.read_text())["code"]
    assert folder.config()["model"]["path"].startswith(code) and code.startswith(str(root / ".code"))
    assert f"from {code}" in folder.attempts()[0].log_path.read_text()
    assert folder.provenance().origin.command and folder.provenance().machine.packages


def test_it_is_the_same_run_as_a_sweeps(lab):
    assert one(lab, "algo=grpo", "seed=3").returncode == 0
    config = lab.folder().config()
    swept = lab.run("-m", *REHEARSE, "algo=grpo", "seed=3", tiny=False)
    assert swept.returncode == 0 and "1 skip" in swept.stdout
    (lab.folder().path / "summary.json").unlink()
    swept = lab.run("-m", *REHEARSE, "algo=grpo", "seed=3", tiny=False)
    assert swept.returncode == 0 and lab.folder().config() == config


def test_finished_already_also_joins_the_study_that_asked_again(live_lab):
    lab = live_lab
    assert one(lab).returncode == 0
    done = one(lab, "study=second", "tracking=live")
    assert done.returncode == 0 and "finished already" in done.stdout and "run folder" in done.stdout
    assert "study second in MLflow: 1 finished run copied to its page" in done.stdout
    with closing(sqlite3.connect(lab.cwd / "mlflow.db")) as database:
        assert ("second",) in database.execute("SELECT name FROM experiments").fetchall()
    assert of_study(lab.cwd / "runs", "second") == [lab.folder().key]
    assert len(lab.folder().attempts()) == 1


def test_a_run_that_goes_on_elsewhere_is_followed_and_left_alone(lab):
    process, folder = start_long(lab)
    second = lab.start(*LONG, tiny=False)
    said = second.stdout.readline()
    assert f"run {folder.key} is running already (pid {process.pid} on" in said
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 130 and "the run goes on without this command" in err
    assert process.poll() is None and folder.status().state == "running"
    third = lab.start(*LONG, tiny=False)
    third.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    _, err = third.communicate(timeout=PATIENCE)
    assert third.returncode == 1 and f"resumes from step {folder.resume_step()}" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tau=1.5"], "tau=1.5"),
        (["algo=gapo_grp"], "did you mean gapo_grpo?"),
        (["trainer.total_training_step=3"], "did you mean trainer.total_training_steps?"),
        (["run_root=taken"], "taken"),
        (["+sweep=table2"], "is a sweep, not one run"),
        (["+sweep=tau_search"], "is a sweep, not one run"),
        (["algo=grpo,dapo"], "several values are a sweep"),
        (["tau=0.1,0.5"], "several values are a sweep"),
        (["scale=nano", "model=qwen_coder_7b"], "this machine has none"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, words, says):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # `main` sets it
    rehearse = () if "scale=nano" in words else REHEARSE
    monkeypatch.setattr(sys, "argv", ["run", *rehearse, *words])
    assert run.main() == 2
    said = capsys.readouterr().err
    assert says in said and len(said.splitlines()) == 1 and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tau=abc"], "tau=abc"),
        (["hydra.verbose=false", "tau=abc"], "tau=abc"),
        (["--config-name", "mine"], "--config-dir FOLDER"),
    ],
)
def test_a_mistake_ends_the_process_with_2_and_no_traceback(lab, words, says):
    done = one(lab, *words)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (lab.cwd / "runs").exists()


def test_a_failed_run_ends_with_1_and_says_what_the_same_command_does(lab):
    process, folder = start_long(lab)
    job = next(p for p in psutil.Process(process.pid).children() if "gapo_lab.training.job" in " ".join(p.cmdline()))
    job.kill()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "killed by signal 9" in err
    assert folder.status().advice(folder.key).endswith(f"the same command resumes from step {folder.resume_step()}")


# Where `cluster` says


def test_cluster_slurm_never_runs_on_this_machine(lab, tmp_path):
    """No sbatch here: it is refused in one line, and nothing is started."""
    empty = tmp_path / "bin"
    empty.mkdir()
    done = one(lab, "cluster=slurm", PATH=str(empty))
    assert done.returncode == 2 and "sbatch is not on this machine" in done.stderr, done.stderr
    assert not list(lab.cwd.glob("runs/*/attempts/*"))


# Ctrl-C


def test_ctrl_c_saves_first_and_names_the_step(lab):
    process, folder = start_long(lab, "trainer.save_freq=1000")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    step = max(folder.merged_metrics())
    assert process.returncode == 130 and folder.resume_step() == step
    assert err == f"stopped after step {step} (saved); the same command resumes from step {step}\n"
    assert "Ctrl-C again ends it at once" in out
    assert folder.status().state == "interrupted" and left_of(lab) == []
    again, _ = start_long(lab, "trainer.save_freq=1000", step=step + 1)
    assert folder.attempts()[-1].rows()[0].step == step + 1
    again.send_signal(signal.SIGTERM)
    out, _ = again.communicate(timeout=PATIENCE)
    assert f"resumes from step {step}" in out and f"step {step}/" not in out
    last = max(folder.merged_metrics())
    assert again.returncode == 130 and folder.resume_step() == last > step  # SIGTERM leaves time to save, too
    assert folder.merged_metrics() == {n: made_up(0, n) for n in range(1, last + 1)}


def test_a_second_ctrl_c_ends_at_once(lab):
    process, folder = start_long(lab, "trainer.save_freq=2", "rehearsal.seconds=1", step=3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    kept = folder.resume_step()
    assert process.returncode == 130 and kept % 2 == 0 and kept > 0
    assert err == f"stopped by Ctrl-C; the same command resumes from step {kept}\n"
    assert left_of(lab) == []


def test_a_closed_terminal_saves_too(lab):
    terminal, inside = os.openpty()
    # CI may run under nohup, which hands on that SIGHUP is ignored
    as_its_terminal = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    as_its_terminal += "import fcntl, runpy, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    program = as_its_terminal + "runpy.run_module('gapo_lab.run', run_name='__main__', alter_sys=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *LONG, "trainer.save_freq=1000"],
        cwd=lab.cwd,
        env=lab.env(TERM="xterm"),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    lab.started.append(process)
    os.close(inside)
    wait_until(lambda: (lab.cwd / "runs").is_dir() and any(_steps(lab)), process)
    os.close(terminal)
    process.wait(60)
    folder = lab.folder()
    assert process.returncode == 130 and folder.resume_step() == max(folder.merged_metrics()) > 0
    assert folder.status().state == "interrupted" and left_of(lab) == []


def test_without_a_checkpoint_it_says_that_it_starts_anew(lab):
    process, folder = start_long(lab, "trainer.save_freq=1000", "rehearsal.seconds=2", step=1)
    process.kill()
    process.communicate()
    assert "starts anew" in folder.status().advice(folder.key)
    assert "starts anew" in lab.command("plan", *LONG, "trainer.save_freq=1000", "rehearsal.seconds=2").stdout
    shown = lab.command("status").stdout
    assert "starts anew" in shown and "last checkpoint" not in shown


def test_cancel_saves_and_says_where_it_resumes(lab):
    process, folder = start_long(lab, "trainer.save_freq=1000")
    said = lab.command("cancel", folder.key).stdout
    process.communicate(timeout=PATIENCE)
    step = folder.resume_step()
    assert step == max(folder.merged_metrics()) and "1 run cancelled; the same command, or" in said
    assert f"resumes 1 run from step {step}" in said
    status = folder.status()
    assert (status.cause, status.message) == ("cancelled", f"cancelled after step {step} (saved)")
    assert f"python -m gapo_lab retry {folder.key}, resumes from step {step}" in status.advice(folder.key)


def test_a_cancelled_sweep_starts_none_that_waits(lab):
    words = ("-m", *LONG, "seed=0,1", "cluster.max_parallel=1")
    process = lab.start(*words, tiny=False)
    wait_until(lambda: (lab.cwd / "runs").is_dir() and any(_steps(lab)), process)
    assert "2 runs cancelled" in lab.command("cancel", "all").stdout
    process.communicate(timeout=PATIENCE)
    assert sum(len(RunFolder(p.parent).attempts()) for p in (lab.cwd / "runs").glob("*/spec.yaml")) == 1
    assert left_of(lab) == []
