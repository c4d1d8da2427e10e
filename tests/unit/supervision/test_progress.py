import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gapo_lab.runs import metrics
from gapo_lab.runs.failure import failure_cause, failure_lines, is_out_of_memory
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import Cause
from gapo_lab.supervision import progress
from gapo_lab.supervision.progress import Progress
from gapo_lab.tracking import uri

RAY_LOG = """\
2025-11-21 12:00:00,123 INFO worker.py:1942 -- Started a local Ray instance.
\x1b[36m(TaskRunner pid=4120)\x1b[0m TaskRunner hostname: box, PID: 4120
\x1b[36m(TaskRunner pid=4120)\x1b[0m Training Progress:   3%|          | 1/40 [00:05<03:30,  5.39s/it]
\x1b[36m(WorkerDict pid=4300)\x1b[0m Traceback (most recent call last):
\x1b[36m(TaskRunner pid=4120)\x1b[0m Training Progress:   5%|          | 2/40 [00:09<03:30,  5.39s/it]
\x1b[36m(WorkerDict pid=4300)\x1b[0m   File "/venv/verl/workers/fsdp.py", line 12, in save
\x1b[36m(WorkerDict pid=4300)\x1b[0m     old.unlink()
\x1b[36m(WorkerDict pid=4300)\x1b[0m OSError: earlier and survived
Error executing job with overrides: []
Traceback (most recent call last):
  File "/venv/gapo_lab/training/job.py", line 80, in main
    ray.get(runner.run.remote(config))
  File "/venv/ray/_private/worker.py", line 2961, in get
    raise value
ray.exceptions.RayTaskError(ValueError): ray::TaskRunner.run() (pid=4120, ip=10.0.0.1, actor_id=6ae, repr=<x>)
  File "/venv/verl/trainer/main_ppo.py", line 334, in run
    trainer.fit()
  File "/venv/gapo_lab/methods/gapo.py", line 31, in gapo
    raise ValueError("reward of group 7 is nan")
ValueError: reward of group 7 is nan
    in step 3

Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.
\x1b[36m(ReplayBuffer pid=4400)\x1b[0m Traceback (most recent call last):
\x1b[36m(ReplayBuffer pid=4400)\x1b[0m   File "/venv/ray/_private/worker.py", line 2961, in get
\x1b[36m(ReplayBuffer pid=4400)\x1b[0m ray.exceptions.ActorDiedError: The actor died unexpectedly.
"""


@pytest.fixture
def folder(tmp_path):
    return RunFolder.open(tmp_path, "key", {"model": "nano"})


def console(terminal=False):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def test_failure_is_the_first_hand_exception_with_its_place():
    assert failure_lines(RAY_LOG) == [
        'File "/venv/gapo_lab/methods/gapo.py", line 31, in gapo',
        "ValueError: reward of group 7 is nan",
        "in step 3",
    ]


@pytest.mark.parametrize(
    ("line", "is_so"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", True),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=12.0", True),
        ("slurmstepd: error: Exceeded job memory limit at some point", True),
        ("a worker died because the node was running low on memory", True),
        ("ValueError: the room is too small", False),
    ],
)
def test_a_line_that_names_memory(line, is_so):
    assert is_out_of_memory(line) == is_so


def test_aftermath_only_where_there_is_nothing_better():
    tail = RAY_LOG.partition("\x1b[36m(ReplayBuffer")[2]
    only = "(ReplayBuffer" + tail
    assert failure_lines(only)[-1].startswith("ray.exceptions.ActorDiedError")
    killed = "Workers killed due to memory pressure (OOM), 1 worker\n" + only
    assert failure_lines(killed) == ["Workers killed due to memory pressure (OOM), 1 worker"]


def test_failure_without_a_traceback():
    assert failure_lines("a\n\nb\nc\n", limit=2) == ["b", "c"]
    assert failure_lines("a\nOSError: [Errno 28] No space left on device\nbye\n") == [
        "OSError: [Errno 28] No space left on device"
    ]
    assert failure_lines("") == []


def test_a_traceback_of_python_itself(tmp_path):
    import traceback

    try:
        try:
            int("x")
        except ValueError as error:
            raise RuntimeError("the cause\n  goes on") from error
    except RuntimeError:
        lines = failure_lines("noise\n" + traceback.format_exc() + "noise after\n")
    assert lines[0].startswith('File "') and lines[1:] == ["RuntimeError: the cause", "goes on"]


@given(st.text(max_size=300), st.integers(1, 8))
def test_failure_lines_take_any_text(text, limit):
    lines = failure_lines(text, limit)
    assert len(lines) <= limit and all(len(one) <= 400 for one in lines)


def test_the_line_while_starting_and_while_training(folder):
    attempt = folder.start_attempt()
    started = folder.status().started
    folder.write_status(message="starting Ray")
    assert progress.line(progress.snapshot(folder, started + 65.0)) == "starting Ray | 1:05"
    folder.write_status(total_steps=60, message="training")
    attempt.append_metrics(0, {"val/id/em": 0.125, "val/ood/em": 0.03125}, now=started + 70)
    assert progress.line(progress.snapshot(folder, started + 70)) == "training | 1:10 | EM ID 12.5% | EM OOD 3.1%"
    for step in range(1, 5):
        attempt.append_metrics(step, {"train/reward": step / 10}, now=started + 70 + 2 * step)
    shot = progress.snapshot(folder, started + 80)
    assert progress.line(shot) == ("step 4/60 | reward 0.400 | EM ID 12.5% | EM OOD 3.1% | 2.0 s/step | 1:52 left")


def test_a_narrow_terminal_has_fewer_test_sets_and_no_second_line():
    tests = {"id": 0.1, "dev": 0.2, "ood": 0.3}
    shot = progress.Snapshot(4, 60, "training", 70, reward=0.4, tests=tests, pace=19.8)
    whole = progress.line(shot)
    assert "EM OOD" in whole and progress.line(shot, len(whole)) == whole
    assert progress.line(shot, len(whole) - 1) == whole.replace(" | EM OOD 30.0%", "")
    assert progress.line(shot, 10) == "step 4/60 | reward 0.400 | 19.8 s/step | 18:28 left"


def test_the_line_is_about_what_was_asked_for_once_it_is_measured(folder):
    attempt = folder.start_attempt()
    folder.write_config("metric: words\n")
    attempt.append_metrics(0, {"val/id/acc": 0.25})
    assert "acc ID 25.0%" in progress.line(progress.snapshot(folder, 1))
    attempt.append_metrics(1, {"val/id/acc": 0.5, "val/id/words": 7.0, "val/aime/words": 3.0})
    line = progress.line(progress.snapshot(folder, 1))
    assert "words ID 7.000 | words aime 3.000" in line and "acc" not in line
    folder.write_config("{")
    assert "acc ID 50.0%" in progress.line(progress.snapshot(folder, 1))


def test_pace_leaves_out_the_pause_before_this_attempt():
    assert progress.pace([1, 2, 3]) == 1.0
    assert progress.pace([1, 2, 1000, 1003], since=900) == 3.0
    assert progress.pace([1, 2, 1000], since=900) is None


def test_plain_lines_where_there_is_no_terminal(folder):
    out = console()
    attempt = folder.start_attempt()
    folder.write_status(total_steps=25, message="starting Ray")
    with Progress(folder, out) as shown:
        shown.poll()
        shown.poll()
        for step in range(1, 26):
            attempt.append_metrics(step, {"train/reward": 0.5}, now=time.time())
            shown.poll()
    said = out.file.getvalue().splitlines()
    assert said[0].startswith("starting Ray")
    assert [text.split(" |")[0] for text in said[1:]] == [
        "step 1/25",
        "step 10/25",
        "step 20/25",
        "step 25/25",
    ]


def test_the_closing_table_has_each_named_test_set_by_what_was_asked_for(folder):
    attempt, out = folder.start_attempt(), console()
    folder.write_config("metric: acc\n")
    for step, value in ((0, 0.25), (10, 0.5)):
        sets = {f"val/{name}/acc": value / (1 + place) for place, name in enumerate(("id", "aime", "amc"))}
        attempt.append_metrics(step, {**sets, "val/id/score": 0.0})
    folder.write_summary(metrics.summary(folder.merged_metrics(), "acc"))
    progress.show_end(folder, out)
    rows = [line.split() for line in out.file.getvalue().splitlines() if " acc, T=1.0" in line]
    found = [[word for word in row if word.endswith("%") or word in ("ID", "aime", "amc")] for row in rows]
    assert found == [
        ["ID", "25.0%", "50.0%", "50.0%"],
        ["aime", "12.5%", "25.0%", "25.0%"],
        ["amc", "8.3%", "16.7%", "16.7%"],
    ]


def test_the_closing_table_says_at_which_step_each_measure_was_best(folder):
    attempt, out = folder.start_attempt(), console()
    for step, sampled, expected in ((0, 0.1, 0.11), (10, 0.3, 0.2), (20, 0.2, 0.25)):
        attempt.append_metrics(step, {"val/id/em": sampled, "val/id/em_expected": expected})
    folder.write_summary(metrics.summary(folder.merged_metrics()))
    progress.show_end(folder, out)
    rows = [line.replace("│", " ").split() for line in out.file.getvalue().splitlines() if "exact match" in line]
    assert [row[-1] for row in rows] == ["10", "20"]


def test_one_live_line_on_a_terminal(folder):
    out = console(terminal=True)
    attempt = folder.start_attempt()
    with Progress(folder, out) as shown:
        attempt.append_metrics(3, {"train/reward": 0.5})
        assert shown.poll().step == 3
        shown._live.refresh()
    assert "step 3/?" in out.file.getvalue()


def test_the_end(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.path.parent)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    attempt = folder.start_attempt()
    attempt.append_metrics(0, {"val/id/em": 0.10, "val/id/em_greedy": 0.2})
    attempt.append_metrics(1, {"train/reward": 0.3})
    attempt.append_metrics(20, {"train/reward": 0.7, "val/id/em": 0.25, "val/id/em_greedy": 0.15})
    folder.write_summary(metrics.summary(folder.merged_metrics()))
    out = console()
    progress.show_end(folder, out)
    text = out.file.getvalue()
    assert "+15.0 pts" in text and "-5.0 pts" in text and "+0.400" in text and "OOD" not in text
    assert "run folder  key\n" in text and "attempts/1/train.log" in text
    assert "-m gapo_lab ui\n            http://127.0.0.1:5000\n" in text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert progress.where_lines(folder, "http://tracker:5000")[-1] == "charts      http://tracker:5000"
    folder.write_config("tracking: later")
    said = progress.where_lines(folder, "http://tracker:5000")[-1]
    assert f"gapo_lab --root {folder.path.parent} sync key: http://tracker:5000" in said
    monkeypatch.chdir(folder.path.parent)
    assert uri.command("sync", "key", root=folder.path.parent / "runs").endswith("-m gapo_lab sync key")


GUESS = (
    "The actor is dead because its worker process has died. Some common causes include: (1) the process was killed by "
    "the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed"
)


SERVERS_GUESS = (
    "(raylet) Raylet is terminated. Termination is unexpected. Possible reasons include: (1) SIGKILL by the user or "
    "system OOM killer, (2) Invalid memory access from Raylet causing SIGSEGV or SIGBUS. Last 20 lines of the logs:\n"
    "    [2026-11-28 01:39:57,577 E 13 13] (raylet) rpc_client.h:204: Failed to connect to GCS within 60 seconds.\n"
    "(raylet) The node 7 has been marked dead because the detector has missed too many heartbeats from it. "
    "This can happen when a \t(1) raylet crashes unexpectedly (OOM, etc.)\n"
)


def test_a_machine_too_busy_for_ray_is_not_out_of_memory():
    """Ray's server was not heard of for a minute; its guess at why names memory."""
    assert failure_cause(SERVERS_GUESS, 1) is Cause.RAY_LOST
    said = "\n".join(failure_lines(SERVERS_GUESS))
    assert "Failed to connect to GCS within 60 seconds" in said and "OOM" not in said
    assert failure_cause(SERVERS_GUESS + "\nMemoryError", 1) is Cause.OUT_OF_MEMORY


def test_a_process_that_says_that_it_crashed_was_not_killed_for_its_memory():
    """Ray's guess names memory first, whatever has happened."""
    crashed = "(WorkerDict pid=7) *** SIGABRT received at time=1 on cpu 1 ***\n"
    assert failure_cause(crashed + GUESS, 1) is Cause.NONE
    assert failure_cause(GUESS, 1) is Cause.OUT_OF_MEMORY
    assert failure_cause(crashed + GUESS + "\nMemoryError", 1) is Cause.OUT_OF_MEMORY
