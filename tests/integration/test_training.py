"""Real runs of the real trainer with the nano model: what a user relies on."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import time
from pathlib import Path

import psutil
import pytest
from lab import ONE_WORKER, PATIENCE, Lab, science, wait_until


def processes_of(lab: Lab) -> list[str]:
    """Command lines of the processes that stand in a lab's working folder: all that a run starts."""
    return [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "cwd"])
        if (process.info["cwd"] or "").startswith(str(lab.cwd))
    ]


def scratch_of(supervisor) -> Path:
    """The scratch folder of the attempt that a supervisor runs."""
    (watch,) = [p for p in psutil.Process(supervisor.pid).children() if "gapo_lab.supervision.watchdog" in p.cmdline()]
    return Path(watch.cmdline()[-1])


def wait_for_step(folder_of, step: int, process, seconds: float = PATIENCE) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            if max(folder_of().merged_metrics(), default=-1) >= step:
                return
        except (AssertionError, FileNotFoundError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"step {step} was not reached: {process.communicate(timeout=30)}")


def test_run_folder_holds_everything(finished):
    folder = finished.folder()
    merged = folder.merged_metrics()
    assert sorted(merged) == [0, 1, 2, 3]
    for step in (0, 1, 2, 3):
        for name in ("val/id/em", "val/ood/em", "val/id/em_greedy", "val/ood/em_greedy", "val/id/similarity"):
            assert 0 <= merged[step][name] <= 1
        assert 0 <= merged[step]["val/dev/em"] <= 1
        for name in ("val/id/em_expected", "val/dev/em_expected", "val/id/em_expected_t50", "val/id/em_answer_noise"):
            assert 0 < merged[step][name] < 1
        assert merged[step]["val/id/em_loglik"] < 0
    # one sampled answer a task may be off by its noise
    for where in ("id", "ood"):
        off = merged[0][f"val/{where}/em"] - merged[0][f"val/{where}/em_expected"]
        assert abs(off) < 4 * merged[0][f"val/{where}/em_answer_noise"]
    for step in (1, 2, 3):
        assert {"train/reward", "actor/pg_clipfrac", "actor/grad_norm", "perf/throughput"} <= set(merged[step])
    summary = folder.summary()
    assert {"best/id/em", "best/id/step", "best/ood/em", "final/id/em"} <= set(summary)
    assert folder.status().state == "finished"
    assert folder.spec["algo"] == "gapo_grpo" and folder.spec["tau"] == 0.5
    assert folder.provenance().machine.packages
    timing = json.loads((folder.attempts()[-1].path / "timing.json").read_text())
    assert {
        "importing verl",
        "starting Ray",
        "loading the model",
        "validating",
        "training",
        "ending Ray",
    } <= set(timing)
    assert timing["recording"] < timing["training"]
    assert json.loads((folder.path / "data.json").read_text())["rows"] == {
        "train": 64,
        "id": 16,
        "dev": 8,
        "ood": 8,
    }
    generations = folder.attempts()[-1].generations
    first = json.loads((generations / "val" / "0.jsonl").read_text().splitlines()[0])
    assert {"input", "output", "gts", "score"} <= set(first)
    told = [json.loads(line) for line in (generations / "truths" / "3.jsonl").read_text().splitlines()]
    assert [one["set"] for one in told] == ["id"] * 16 + ["ood"] * 8 + ["dev"] * 8
    assert len({one["id"] for one in told}) == 32
    likely = [math.exp(one["loglik_t50"]) for one in told if one["set"] == "id"]
    assert sum(likely) / 16 == pytest.approx(merged[3]["val/id/em_expected_t50"], abs=1e-4)
    assert len((generations / "train" / "1.jsonl").read_text().splitlines()) == 8 * 4


def test_terminal_says_what_a_person_needs(finished):
    assert "step 3/3" in finished.output
    assert "ID exact match, T=1.0" in finished.output
    assert "gapo_lab ui" in finished.output
    # verl's and Ray's noise is in the log, not here
    assert "WARNING" not in finished.output and "Traceback" not in finished.output
    assert len(finished.output.splitlines()) < 40


def test_mlflow_has_every_step_once(finished):
    with sqlite3.connect(finished.cwd / "mlflow.db") as db:
        rows = db.execute("select step, count(*) from metrics where key = 'train/reward' group by step").fetchall()
        assert rows == [(1, 1), (2, 1), (3, 1)]
        assert db.execute("select count(*) from runs").fetchone()[0] == 2  # the cell and its seed
        value = db.execute("select value from latest_metrics where key = 'best/id/em'").fetchone()[0]
    assert value == finished.folder().summary()["best/id/em"]


def test_no_process_is_left(finished):
    assert processes_of(finished) == []


def test_a_finished_run_is_shown_not_repeated(finished):
    done = finished.run()
    assert done.returncode == 0 and "finished already" in done.stdout
    assert len(finished.folder().attempts()) == 1


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Lab:
    """A smoke run of another seed, with large steps, while MLflow cannot be reached."""
    lab = Lab(tmp_path_factory.mktemp("other"))
    done = lab.run(
        "scale=smoke",
        "seed=1",
        ONE_WORKER,
        "actor_rollout_ref.rollout.calculate_log_probs=true",
        "actor_rollout_ref.actor.optim.lr=0.01",
        "trainer.total_training_steps=2",
        "trainer.test_freq=-1",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lab.output = done.stdout
    return lab


def test_another_seed_gives_others(finished, other):
    ours, theirs = other.folder().merged_metrics(), finished.folder().merged_metrics()
    assert ours[1]["train/reward"] != theirs[1]["train/reward"]
    assert ours[0]["val/id/em_greedy"] == theirs[0]["val/id/em_greedy"]  # the same model and tasks


def test_rollouts_come_from_the_actors_newest_weights(other):
    """verl compares the server's log-probs with the actor's own: the same after every update."""
    merged = other.folder().merged_metrics()
    assert merged[1]["actor/grad_norm"] > 0
    for step in (1, 2):
        assert merged[step]["training/rollout_probs_diff_max"] < 1e-3


def test_a_smoke_run_ends_its_processes_and_resumes_from_its_checkpoint(other):
    folder = other.folder()
    first, second = folder.attempts()
    assert [row.step for row in first.rows()] == [0, 1] and [row.step for row in second.rows()] == [2]
    assert "saved after step 1 and ended; goes on" in other.output
    assert "scale=smoke" in other.output


def test_mlflow_away_loses_nothing(other):
    assert other.folder().is_finished
    assert f"gapo_lab sync {other.folder().key}" in other.output


def test_killed_run_goes_on_and_ends_as_if_undisturbed(finished, live_lab):
    """kill -9 of job and supervisor after step 1: no process stays, the same command finishes the run."""
    lab = live_lab
    process = lab.start()
    wait_for_step(lab.folder, 1, process)
    scratch = scratch_of(process)
    process.kill()
    process.wait()
    # the watchdog ends the others; the copier, at the lowest priority, ends when it has copied what there is
    wait_until(lambda: not processes_of(lab), seconds=180)
    assert processes_of(lab) == []
    assert not scratch.exists()
    assert lab.folder().status().state == "interrupted"
    done = lab.run()
    assert done.returncode == 0, done.stderr
    assert len(lab.folder().attempts()) == 2
    assert science(lab.folder().merged_metrics()) == science(finished.folder().merged_metrics())
    with sqlite3.connect(lab.cwd / "mlflow.db") as db:
        rows = db.execute("select step, count(*) from metrics where key = 'train/reward' group by step").fetchall()
    assert rows == [(1, 1), (2, 1), (3, 1)]


def test_ctrl_c_saves_ends_everything_and_the_same_command_resumes_there(live_lab):
    lab, last = live_lab, 5
    words = (ONE_WORKER, f"trainer.total_training_steps={last}", "trainer.save_freq=-1", "trainer.test_freq=1")
    words += ("data.id_size=4", "data.ood_size=4", "data.dev_size=4", "data.greedy=false", "data.expected=false")
    process = lab.start(*words)
    wait_for_step(lab.folder, 1, process)
    wait_until(lambda: any("tracking.live_copy" in words for words in processes_of(lab)))
    assert len(processes_of(lab)) > 8  # supervisor, job, zygote, Ray's own, worker, server, the copier
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    folder = lab.folder()
    step = max(folder.merged_metrics())
    assert process.returncode == 130 and 1 <= step < last
    assert err == f"stopped after step {step} (saved); the same command resumes from step {step}\n"
    assert processes_of(lab) == []
    assert folder.status().state == "interrupted" and folder.resume_step() == step
    done = lab.run(*words)
    assert done.returncode == 0, done.stderr
    assert f"resumes from step {step}" in done.stdout and "step ?" not in done.stdout
    # told to stop while it trained: it saved without validating first, and the next attempt begins with that
    first, second = (attempt.rows() for attempt in folder.attempts())
    owed = not any(name.startswith("val/") for row in first if row.step == step for name in row.metrics)
    assert second[0].step == (step if owed else step + 1)
    merged = folder.merged_metrics()
    assert sorted(merged) == list(range(last + 1)) and all("val/id/em" in at for at in merged.values())
    assert all("train/reward" in merged[step] for step in range(1, last + 1))


def test_dynamic_sampling_repeats_itself_exactly(lab, tmp_path):
    """At a low temperature many groups tie: refills, and groups too many that are discarded."""
    words = (
        "algo=gapo_dapo",
        "tracking=later",
        "actor_rollout_ref.rollout.temperature=0.4",
        "trainer.total_training_steps=2",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
    )
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        here = Lab(tmp_path / name)
        done = here.run(*words)
        assert done.returncode == 0, done.stderr
        found.append(science(here.folder().merged_metrics()))
    assert found[0] == found[1]
    assert sum(at["training/filter_groups/refilled_prompts"] for at in found[0].values()) > 0


def test_dynamic_sampling_ends_when_every_group_ties(lab):
    """Close to temperature 0 all rollouts of a prompt are the same, so every group ties."""
    done = lab.run(
        "algo=dapo",
        "tracking=later",
        ONE_WORKER,
        "actor_rollout_ref.rollout.temperature=1e-4",
        "trainer.val_before_train=false",
        "trainer.v1.sampler.sampler_kwargs.max_refill_batches=2",
    )
    assert done.returncode == 1
    assert "dynamic sampling" in done.stderr and "max_refill_batches (now 2)" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_exception_in_a_reward_ends_the_run_with_it(lab):
    reward = lab.cwd / "my_reward.py"
    reward.write_text("def compute_score(**_):\n    raise ZeroDivisionError('no reward today')\n")
    words = ("tracking=later", ONE_WORKER, "trainer.val_before_train=false")
    done = lab.run(f"reward.custom_reward_function.path={reward}", *words)
    assert done.returncode == 1
    assert "no reward today" in done.stderr
    assert lab.folder().status().state == "failed"
    assert processes_of(lab) == []


def test_second_run_of_the_same_key_is_refused(finished):
    folder = finished.folder()
    held = Lab(finished.cwd)
    (folder.path / "summary.json").rename(folder.path / "summary.aside")
    try:
        with folder.lock():
            done = held.run()
    finally:
        os.rename(folder.path / "summary.aside", folder.path / "summary.json")
    assert done.returncode == 2
    assert "already being run" in done.stderr
