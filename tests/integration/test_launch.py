"""Sweeps on this machine, without training: `scale=rehearsal`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from lab import PATIENCE, REPO, Lab, wait_until

from gapo_lab.launch import code_snapshot, run_states
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import find
from gapo_lab.runs.studies import of_study
from gapo_lab.training.rehearsal import made_up
from gapo_lab.utils.import_path import importing_from

REHEARSE = ("-m", "scale=rehearsal", "rehearsal.seconds=0.05")


def sweep(lab: Lab, *words: str, **env: str) -> subprocess.CompletedProcess:
    return lab.run(*REHEARSE, *words, tiny=False, **env)


def all_states(lab: Lab) -> list[str]:
    root = lab.cwd / "runs"
    return sorted(s.state for s in run_states.read(root, [folder.key for folder in find(root)]).values())


def undisturbed(folder: RunFolder, steps: int = 5) -> bool:
    return folder.merged_metrics() == {n: made_up(folder.spec["seed"], n) for n in range(1, steps + 1)}


def test_a_sweep_shows_its_plan_runs_and_then_is_skipped(lab):
    first = sweep(lab, "algo=grpo,gapo_grpo", "seed=0,1", "cluster.max_parallel=2")
    assert first.returncode == 0, first.stdout + first.stderr
    assert (
        "4 runs in 2 cells: 4 run" in first.stdout
        and first.stdout.count("] finished") == 0
        and "[4/4 finished]" in first.stdout
    )
    folders = find(lab.cwd / "runs")
    assert len(folders) == 4 and all(undisturbed(folder) for folder in folders)
    assert all(folder.provenance().origin.command and folder.provenance().machine.host for folder in folders)
    second = sweep(lab, "algo=grpo,gapo_grpo", "seed=0,1,2", "study=more")
    assert "6 runs in 2 cells: 2 run, 4 skip" in second.stdout, second.stdout
    assert all(len(folder.attempts()) == 1 for folder in find(lab.cwd / "runs"))
    assert len(of_study(lab.cwd / "runs", "more")) == 6
    # a small model's last checkpoint stays until it is named
    assert lab.command("gc").returncode == 0 and len(list((lab.cwd / "runs").glob("*/checkpoints/global_step_*"))) == 6
    gone = lab.command("gc", "--keep=none")
    assert gone.returncode == 0 and not list((lab.cwd / "runs").glob("*/checkpoints"))
    assert "6 runs in 2 cells: 6 finished" in lab.command("status", "more").stdout


def test_no_more_than_max_parallel_at_a_time(lab):
    process = lab.start(*REHEARSE, "rehearsal.steps=8", "seed=range(4)", "cluster.max_parallel=2", tiny=False)
    most = 0
    while process.poll() is None:
        here = [
            p for p in psutil.Process(process.pid).children() if "gapo_lab.launch.submitted_run" in " ".join(_words(p))
        ]
        most = max(most, len(here))
        time.sleep(0.05)
    assert process.returncode == 0 and most == 2
    assert all_states(lab) == ["finished"] * 4


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_ctrl_c_ends_everything_and_the_same_command_goes_on(lab):
    words = (*REHEARSE, "rehearsal.steps=400", "seed=range(2)", "cluster.max_parallel=1")
    process = lab.start(*words, tiny=False)
    wait_until(lambda: any(max(f.merged_metrics(), default=0) > 1 for f in find(lab.cwd / "runs")), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    (begun,) = [f for f in find(lab.cwd / "runs") if f.attempts()]
    saved = begun.resume_step()
    assert process.returncode == 130 and saved == max(begun.merged_metrics()), out + err
    assert f"the same command resumes 1 run from step {saved}, starts 1 run that waited" in err
    assert all_states(lab) == ["interrupted"] * 2
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(lab.cwd) in " ".join(p.info["cmdline"] or [])]
    plan = lab.command("plan", *words[1:])
    assert "2 run" in plan.stdout and f"resumes from step {saved}" in plan.stdout


def test_a_second_ctrl_c_ends_all_runs_at_once(lab):
    words = (*REHEARSE, "rehearsal.seconds=1000", "seed=range(3)", "cluster.max_parallel=2")
    process = lab.start(*words, tiny=False)
    wait_until(lambda: sum(f.raw_status.can_save for f in find(lab.cwd / "runs")) == 2, process)
    process.send_signal(signal.SIGINT)
    assert any("2 running: saving after this step" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "the same command starts 2 runs anew (no checkpoint yet), starts 1 run that waited" in err
    folders = find(lab.cwd / "runs")
    said = sorted(folder.raw_status.message for folder in folders)
    assert said == ["stopped by Ctrl-C", "stopped by Ctrl-C", "was not started"]
    assert all_states(lab) == ["interrupted"] * 3 and not any(folder.resume_step() for folder in folders)
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(lab.cwd) in " ".join(p.info["cmdline"] or [])]


def test_a_killed_submitter_leaves_its_runs_going_and_is_attached_to(lab):
    words = ("rehearsal.steps=60", "seed=range(3)", "cluster.max_parallel=2")
    process = lab.start(*REHEARSE, *words, tiny=False)
    wait_until(lambda: sum(bool(f.merged_metrics()) for f in find(lab.cwd / "runs")) == 2, process)
    process.kill()
    process.communicate()
    again = sweep(lab, *words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "2 attach" in again.stdout or "skip" in again.stdout
    assert all_states(lab) == ["finished"] * 3
    assert all(len(folder.attempts()) == 1 and undisturbed(folder, 60) for folder in find(lab.cwd / "runs"))


def test_a_job_killed_says_so_others_go_on_and_retry_finishes_it(lab):
    process = lab.start(*REHEARSE, "rehearsal.steps=60", "seed=0,1", "cluster.max_parallel=2", tiny=False)
    wait_until(lambda: sum(bool(f.merged_metrics()) for f in find(lab.cwd / "runs")) == 2, process)
    victim = find(lab.cwd / "runs")[0]
    job = next(
        p
        for p in psutil.Process(victim.status().process.pid).children()
        if "gapo_lab.training.job" in " ".join(_words(p))
    )
    job.kill()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "1 of 2 runs did not finish" in err
    assert "killed by signal 9" in out and "->" in out
    assert all_states(lab) == ["failed", "finished"]
    assert victim.status().cause == "killed"
    # also where the folder of the runs has been moved
    moved = (lab.cwd / "runs").rename(lab.cwd / "moved, it's here")
    again = lab.command("--root", moved.name, "retry", "all")
    assert again.returncode == 0, again.stderr
    victim = RunFolder(moved / victim.key)
    assert len(victim.attempts()) == 2 and undisturbed(victim, 60) and not (lab.cwd / "runs").exists()


def fill_up(file: Path) -> None:
    with open(file, "wb", buffering=0) as sink:
        while True:
            sink.write(b"x" * 4096)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_disk_is_told_and_the_run_goes_on_afterwards(lab):
    disk = lab.cwd / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], check=True)
    try:
        words = (f"run_root={disk}", "rehearsal.steps=60", "seed=0", "rehearsal.seconds=0.2")
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        refused = sweep(lab, *words)
        assert refused.returncode == 2 and "cannot copy the code to" in refused.stderr + refused.stdout
        assert "No space left" in refused.stderr + refused.stdout and not find(disk)
        subprocess.run(["mount", "-o", "remount,size=24m", disk], check=True)
        process = lab.start(*REHEARSE, *words, tiny=False)
        wait_until(lambda: any(f.merged_metrics() for f in find(disk)), process)
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            fill_up(filler)
        out, err = process.communicate(timeout=PATIENCE)
        (folder,) = find(disk)
        assert process.returncode == 1, out + err
        status = folder.status()
        assert (status.state, status.cause) == ("failed", "disk full") and "disk full" in status.message
        assert "free some space" in out + status.remedy
        filler.unlink()
        done = sweep(lab, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert undisturbed(folder, 60)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tau=abc"], "tau=abc"),
        (["seed=range(0)"], "nothing to run"),
        (["seed=range(1000000)"], "more than 20,000"),
        (["study=a/b"], "study=a/b"),
        (["algo=gapo_grp"], "did you mean gapo_grpo?"),
        (["run_root=taken"], "taken"),
        (["cluster.nodes=2"], "this machine is one node"),
        (["study=naïve_étude"], "'study=\"naïve_étude\"'"),
        (["algo=glob(gapo*)"], "glob() is not supported"),
    ],
)
def test_a_wrong_sweep_starts_nothing(lab, words, says):
    (lab.cwd / "taken").write_text("a file")
    done = sweep(lab, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert not (lab.cwd / "runs").exists()


def test_a_copy_of_the_code_is_made_once_and_is_what_python_takes(tmp_path, monkeypatch):
    code = code_snapshot.take(tmp_path)
    assert code_snapshot.take(tmp_path) == code and (code / "gapo_lab" / "training" / "job.py").is_file()
    (code / "gapo_lab" / "mark.py").write_text("")
    env = {**os.environ, **importing_from(code)}
    words = [sys.executable, "-c", "import gapo_lab.mark; print(gapo_lab.__file__)"]
    done = subprocess.run(words, env=env, cwd=REPO, check=False, capture_output=True, text=True)
    assert done.stdout.strip().startswith(str(code)), done.stderr
