"""What a run's folder and the scheduler say of it together."""

from __future__ import annotations

import os

import pytest

from gapo_lab.launch import run_states
from gapo_lab.launch.slurm_jobs import Seen, parse, tasks_of
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import RunStatus, State


def test_array_tasks_of_a_job_number():
    assert list(tasks_of("12")) == [0]
    assert list(tasks_of("12_7")) == [7]
    assert list(tasks_of("12_[4-6,9%2]")) == [4, 5, 6, 9]


def test_one_table_for_all_jobs():
    lines = [
        "7_[2-3]|lr|PENDING|0:0|None assigned|Resources|2026-01-01T10:00:00",
        "7_0|lr|RUNNING|0:0|n1|None|2026-01-01T10:00:00",
        "8|lr|CANCELLED by 0|0:9|n2|None|2026-01-01T10:00:00",
        "9|lr|RUNNING|0:0|n1|None|2026-01-01T10:00:00",
        "",
    ]
    seen = parse(lines, {"7": "gapo-a", "8": "gapo-b"})  # job 9 is another submission of that study
    assert seen["gapo-a", 2].pending and seen["gapo-a", 3].reason == "Resources"
    assert seen["gapo-a", 0].active and seen["gapo-a", 0].job == "7_0"
    assert seen["gapo-b", 0].state == "CANCELLED" and len(seen) == 4


def test_a_job_whose_number_was_never_written_down_is_found_by_its_script():
    """Its name is the study's, as that of every other job of the study."""
    script = "sbatch /runs/.submissions/gapo-{}/.submission_file_1.sh"
    lines = [
        f"7_0|lr|RUNNING|0:0|n1|None|2026-01-01T10:00:00|{script.format('a')}",
        f"8_0|lr|RUNNING|0:0|n1|None|2026-01-01T10:00:00|{script.format('b')}",
        "9|gapo-c|RUNNING|0:0|n1|None|2026-01-01T10:00:00|sbatch script.sh",
    ]
    seen = parse(lines, {}, ["gapo-b", "gapo-c"])  # gapo-c: as jobs were called before
    assert {key: one.job for key, one in seen.items()} == {("gapo-b", 0): "8_0", ("gapo-c", 0): "9"}


def look(status, job=None, **more):
    asked = RunStatus.from_json({"submission": "s", "task": 0, "submitted": 0.0, **status})
    return run_states.reconcile(asked, {} if job is None else {("s", 0): job}).state


@pytest.mark.parametrize(
    ("state", "word", "reads"),
    [
        ("queued", "PENDING", "queued"),
        ("queued", "RUNNING", "running"),
        ("running", "RUNNING", "running"),
        ("running", "PENDING", "queued"),
        ("running", "OUT_OF_MEMORY", "failed"),
        ("running", "NODE_FAIL", "interrupted"),
        ("queued", "CANCELLED", "interrupted"),
        ("queued", None, "interrupted"),
        ("interrupted", "PENDING", "queued"),
        ("interrupted", "COMPLETED", "interrupted"),
    ],
)
def test_folder_and_scheduler_together(state, word, reads):
    assert look({"state": state}, Seen("1", word) if word else None) == reads


def test_a_job_that_waits_again_keeps_how_its_last_life_ended():
    # recorded by `sacct -X -D`, from slurm 22.05: every life of three tasks
    lines = [
        "2_0|down|NODE_FAIL|0:0|n1|None|2026-01-01T19:59:57",
        "2_1|down|NODE_FAIL|0:0|n1|None|2026-01-01T19:59:57",
        "2_2|down|NODE_FAIL|0:0|n1|None|2026-01-01T19:59:57",
        "2_1|down|REQUEUED|0:0|n1|BeginTime|2026-01-01T20:00:02",
        "2_[0-1]|down|PENDING|0:0|None assigned|BeginTime|2026-01-01T20:00:14",
        "2_2|down|RUNNING|0:0|n2|ReqNodeNotAvail|2026-01-01T20:00:02",
    ]
    seen = parse(lines, {"2": "gapo-a"})
    assert [(seen["gapo-a", task].state, seen["gapo-a", task].before) for task in range(3)] == [
        ("PENDING", "NODE_FAIL"),
        ("PENDING", ""),  # the life between was ended by scontrol requeue
        ("RUNNING", ""),
    ]


def test_a_task_that_has_begun_waits_no_longer_though_its_array_still_names_it():
    # recorded by `sacct -X -D` of `--array=0-5%2`, from slurm 22.05, while squeue said R of task 4; and a task that was
    # cancelled before it began
    lines = [
        "4_0|t|COMPLETED|0:0|n1|None|2026-01-01T19:58:45",
        "4_1|t|FAILED|3:0|n1|None|2026-01-01T19:58:45",
        "4_2|t|REQUEUED|0:0|n1|JobArrayTaskLimit|2026-01-01T19:58:45",
        "4_4|t|RUNNING|0:0|n1|JobArrayTaskLimit|2026-01-01T19:58:45",
        "4_5|t|CANCELLED by 0|0:0|None assigned|JobArrayTaskLimit|2026-01-01T19:58:45",
        "4_[1,3-6%2]|t|PENDING|0:0|None assigned|JobArrayTaskLimit|2026-01-01T19:58:45",
        "4_2|t|PENDING|0:0|None assigned|JobArrayTaskLimit|2026-01-01T19:59:02",
    ]
    seen = parse(lines, {"4": "gapo-a"})
    assert [(seen["gapo-a", task].state, seen["gapo-a", task].before) for task in range(7)] == [
        ("COMPLETED", ""),
        ("FAILED", ""),
        ("PENDING", ""),
        ("PENDING", ""),
        ("RUNNING", ""),
        ("CANCELLED", ""),
        ("PENDING", ""),
    ]


FAKE_SLURM = {
    # recorded after `scontrol update nodename=n1 state=down`, from slurm 22.05
    "sacct": "1_0|down|NODE_FAIL|0:0|n1|BeginTime|2026-01-01T10:00:00\n"
    "1_1|down|COMPLETED|0:0|n1|None|2026-01-01T10:00:00\n",
    "squeue": "1_0|PENDING|BeginTime\n",
}


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    for name, text in FAKE_SLURM.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nprintf '%s' '{text}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_what_slurm_has_requeued_is_queued_again(fake_slurm, tmp_path):
    """Until it starts again sacct says how its last life ended; only squeue knows that it waits."""
    folder = RunFolder.open(tmp_path / "runs", "k", {"model": "nano"})
    folder.write_status(
        state="interrupted",
        message="told to stop",
        remedy="the same command goes on",
        submission="gapo-a",
        task=0,
        submitted=0.0,
        attempt=1,
        step=7,
    )
    (tmp_path / "runs" / ".submissions").mkdir()
    (tmp_path / "runs" / ".submissions" / "gapo-a.json").write_text('{"job": "1", "study": "down"}')
    status = run_states.read(tmp_path / "runs", ["k"])["k"]
    assert (status.state, status.message, status.remedy) == (
        "queued",
        "requeued after node failure",
        "",
    )
    assert status.job == "1_0" and status.step == 7


@pytest.mark.parametrize(
    ("status", "job", "message"),
    [
        ({"state": "queued", "message": ""}, Seen("1", "PENDING", reason="Priority"), "waits: Priority"),
        (
            {"state": "queued", "message": ""},
            Seen("1", "PENDING", reason="JobArrayTaskLimit"),
            "waits: as many as cluster.max_parallel allows at a time are running",
        ),
        ({"state": "running"}, Seen("1", "PENDING", reason="BeginTime"), "requeued"),
        ({"state": "interrupted"}, Seen("1", "PENDING", before="PREEMPTED"), "requeued after preemption"),
        (
            {"state": "queued", "message": "time limit or preemption: requeued, resumes from step 3"},
            Seen("1", "PENDING", reason="Resources"),
            "time limit or preemption: requeued, resumes from step 3: Resources",
        ),
        (
            {"state": "interrupted", "message": "told to stop"},
            Seen("1", "RUNNING", nodes="n2"),
            "starting on n2",
        ),
        ({"state": "running", "message": "training"}, Seen("1", "RUNNING", nodes="n2"), "training"),
    ],
)
def test_why_a_job_waits(status, job, message):
    asked = RunStatus.from_json({"submission": "s", "task": 0, "submitted": 0.0, **status})
    assert run_states.reconcile(asked, {("s", 0): job}).message == message


def test_without_an_answer_the_folder_is_believed():
    status = run_states.reconcile(RunStatus(State.RUNNING, submission="s"), None)
    assert status.state == "running" and status.unsure
