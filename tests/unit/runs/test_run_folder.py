import errno
import fcntl
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from gapo_lab.errors import UserError
from gapo_lab.runs import folder as run_folder
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.provenance import Origin, Provenance
from gapo_lab.runs.run_root import find
from gapo_lab.runs.status import Cause, RunStatus, State
from gapo_lab.utils import atomic_files
from gapo_lab.utils.processes import Process

SPEC = {
    "study": "default",
    "model": "nano",
    "algo": "gapo_grpo",
    "tau": 0.5,
    "seed": 0,
    "data": "micro",
    "scale": "nano",
    "backend": "cpu",
    "overrides": [],
    "science": {"actor.optim.lr": 1e-06},
    "key": "abc123",
}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.open(tmp_path / "runs", "abc123", SPEC)


def in_another_process(folder, code):
    """A Python process that has opened the folder, run ``code`` and said so, and now waits."""
    program = f"""
import sys, time
from pathlib import Path
from gapo_lab.runs.folder import RunFolder
folder = RunFolder(Path({str(folder.path)!r}))
{code}
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_open_twice_is_the_same_run(folder, tmp_path):
    again = RunFolder.open(tmp_path / "runs", "abc123", SPEC | {"science": {"actor.optim.lr": 1e-6}})
    assert again.path == folder.path and again.spec == SPEC and again.key == "abc123"
    assert find(tmp_path / "runs")[0].path == folder.path


@pytest.mark.parametrize(
    "other", [{"study": "table2"}, {"backend": "gpu"}, {"overrides": ["trainer.logger=x"]}, {"algo": "alias"}]
)
def test_open_in_other_words_is_the_same_run(folder, tmp_path, other):
    assert RunFolder.open(tmp_path / "runs", "abc123", SPEC | other).spec == SPEC


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 7}, "seed: 0, not 7"),
        ({"science": {"actor.optim.lr": 1e-3}}, "science/actor.optim.lr: 1e-06, not 0.001"),
        ({"science": {"actor.optim.lr": 1e-6, "x": 1}}, "science/x: absent, not 1"),
    ],
)
def test_open_another_configs_folder(folder, tmp_path, other, said):
    with pytest.raises(UserError) as error:
        RunFolder.open(tmp_path / "runs", "abc123", SPEC | other)
    assert said in str(error.value) and "belongs to another config" in str(error.value)
    assert folder.spec == SPEC


def test_open_a_folder_without_spec(tmp_path):
    (tmp_path / "k" / "attempts" / "1").mkdir(parents=True)
    with pytest.raises(UserError, match="no spec.yaml"):
        RunFolder.open(tmp_path, "k", SPEC)


def test_spec_cut_short(folder):
    (folder.path / "spec.yaml").write_text("")
    with pytest.raises(UserError, match="cut short"):
        assert folder.spec


def test_metrics_of_attempts(folder):
    one = folder.start_attempt()
    one.append_metrics(0, {"val/id/em": 0.1})
    one.append_metrics(1, {"train/reward": math.nan}, now=12.0)
    two = folder.start_attempt()
    assert [a.number for a in folder.attempts()] == [1, 2]
    assert two.path == folder.path / "attempts" / "2" and two.generations.is_dir()
    two.append_metrics(1, {"train/reward": 0.5})
    two.append_metrics(2, {"train/reward": 0.6})
    assert folder.merged_metrics() == {
        0: {"val/id/em": 0.1},
        1: {"train/reward": 0.5},
        2: {"train/reward": 0.6},
    }
    assert math.isnan(one.rows()[1].metrics["train/reward"]) and one.rows()[1].time == 12.0


def test_attempts_sort_by_number(folder):
    for _ in range(11):
        folder.start_attempt()
    assert [a.number for a in folder.attempts()] == list(range(1, 12))


def test_a_cut_last_line_is_ignored_and_a_broken_line_is_named(folder):
    attempt = folder.start_attempt()
    attempt.append_metrics(1, {"a": 1.0})
    whole = attempt.metrics_path.read_bytes()
    attempt.append_metrics(2, {"a": 2.0})
    for size in range(len(whole), 2 * len(whole) - 1):
        attempt.metrics_path.write_bytes((whole + whole)[:size])
        assert [row.step for row in attempt.rows()] == [1]
    attempt.metrics_path.write_bytes(b'{"step": 1\n' + whole)
    with pytest.raises(UserError, match="metrics.jsonl:1 is no metrics row"):
        folder.merged_metrics()


def test_status_is_kept_and_changed(folder):
    assert folder.status() == RunStatus()
    folder.start_attempt()
    folder.write_status(step=3, total_steps=60, message="training")
    folder.write_status(step=4)
    status = folder.status()
    assert (status.state, status.attempt, status.process.pid) == ("running", 1, os.getpid())
    assert (status.step, status.total_steps, status.message) == (4, 60, "training")
    assert status.started <= status.updated
    with pytest.raises(ValueError, match="sleeping"):
        folder.write_status(state="sleeping")


def test_finished_means_summary_is_there(folder):
    folder.start_attempt()
    assert not folder.is_finished and folder.summary() is None
    folder.write_summary({"best/id/em": 0.5})
    assert folder.is_finished and folder.summary() == {"best/id/em": 0.5}
    assert folder.status().state == "finished"


def test_json_files_are_whole(folder):
    written = Provenance(Origin(folder="é" * 10))
    folder.write_provenance(written)
    assert folder.provenance() == written
    with pytest.raises(TypeError):
        folder.write_provenance(Provenance(Origin(folder=object())))
    assert folder.provenance() == written
    assert [p.name for p in folder.path.glob(".*")] == []
    (folder.path / "provenance.json").write_text('{"commit')
    with pytest.raises(UserError, match="provenance.json is not valid JSON"):
        folder.provenance()


def test_a_killed_run_reads_as_interrupted_and_frees_its_lock(folder):
    process = in_another_process(folder, "held = folder.lock(); held.__enter__(); folder.start_attempt()")
    try:
        assert folder.status().state == "running"
        with pytest.raises(UserError) as error, folder.lock():
            pass
        assert f"already being run by pid {process.pid} on " in str(error.value)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert folder.status().state == "interrupted" and "starts anew" in folder.status().advice(folder.key)
    with folder.lock():
        folder.start_attempt()
    assert folder.status().state == "running"


def test_a_reused_pid_is_not_the_run(folder):
    folder.start_attempt()
    here = Process.here()
    folder.write_status(process=replace(here, started=1))
    assert folder.status().state == "interrupted"
    folder.write_status(process=replace(here, started=1, host="another-host"))
    assert folder.status().state == "running"


def test_lock_is_freed_by_an_error(folder):
    with pytest.raises(ZeroDivisionError), folder.lock():
        raise ZeroDivisionError
    with folder.lock(), pytest.raises(UserError, match="already being run by pid"), folder.lock():
        pass


def test_a_file_system_without_locks_is_named(folder, monkeypatch):
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match="has no locks. Mount it with them .*run_root=FOLDER"), folder.lock():
        pass


def test_disk_full_names_the_path(folder):
    attempt = folder.start_attempt()
    attempt.metrics_path.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"metrics.jsonl: the disk is full"):
        attempt.append_metrics(1, {"a": 1.0})


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EROFS, "read-only"), (errno.EACCES, "may not write"), (errno.ENOTDIR, "is a file")],
)
def test_other_refusals_to_write(tmp_path, number, said):
    with pytest.raises(UserError, match=said), atomic_files.writing(tmp_path):
        raise OSError(number, "no")
    with pytest.raises(OSError, match="odd"), atomic_files.writing(tmp_path):
        raise OSError(errno.EIO, "odd")


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(UserError, match="/proc/nothing. Choose another place"):
        atomic_files.make_folder(run_folder.Path("/proc/nothing"))


def test_readers_never_meet_half_a_status(folder):
    """A writer in another process, killed in the middle: every read is a whole JSON value."""
    process = in_another_process(
        folder,
        "print('ready', flush=True)\nfor i in range(10**6): folder.write_status(step=i, message='x' * i)",
    )
    until = time.time() + 1.0
    while time.time() < until:
        json.loads((folder.path / "status.json").read_text()) if (folder.path / "status.json").exists() else None
    process.kill()
    process.wait()
    assert json.loads((folder.path / "status.json").read_text())["step"] > 0


def test_what_a_job_reports_does_not_win_over_why_it_is_ended(folder):
    folder.start_attempt()
    folder.report("training", step=1)
    assert folder.raw_status.message == "training"
    folder.write_status(state=State.INTERRUPTED, cause=Cause.CANCELLED, message="cancelled")
    folder.report("validating", step=2)
    assert (folder.raw_status.message, folder.raw_status.step) == ("cancelled", 2)


def test_a_config_that_is_no_yaml_is_named_in_a_line(tmp_path):
    folder = RunFolder.open(tmp_path, "a", {"study": "s"})
    folder.start_attempt().append_metrics(0, {"val/id/em": 0.5})
    (folder.path / "config.yaml").write_text("{")
    for ask in (folder.config, folder.numbers):
        with pytest.raises(UserError, match="config.yaml is not valid YAML. Mend it"):
            ask()
