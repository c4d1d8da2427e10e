"""What finished runs took, and how that is scaled to others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from gapo_lab.config.fast_compose import Composer
from gapo_lab.launch import executor
from gapo_lab.planning import past_runs, plan
from gapo_lab.planning.cost import CostInputs, step_seconds
from gapo_lab.planning.plan import Planned
from gapo_lab.planning.plan_notes import notes
from gapo_lab.planning.plan_table import show_plan, totals
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils import atomic_files
from gapo_lab.utils.dotted import unflatten

BIG = ("model=qwen_coder_7b", "cluster=slurm", "seed=0")
SMOKE = (*BIG, "scale=smoke")
# Of each attempt: its timing.json, and the seconds of the parts of its steps.
STARTS = ({"importing verl": 60.0, "loading the model": 140.0, "training": 999.0, "preparing the data": 500.0},) * 2
STEP = {"step": 100.0, "old_log_prob": 10.0, "update_actor": 30.0, "update_weights": 5.0, "save_checkpoint": 40.0}


@pytest.fixture(scope="module")
def drafted() -> Callable[..., Planned]:
    composer = Composer()
    return lambda *words: plan.draft([words], composer)[0]


def finished(root: Path, run: Planned, tokens: float = 400.0, wall: float = 700.0) -> RunFolder:
    """The folder of a smoke run as it leaves it: an attempt a step, and a validation at the end."""
    inputs = CostInputs.of(run.settings)
    folder = RunFolder.open(root, run.key, run.valid_spec.as_dict())
    folder.write_config(yaml.safe_dump(unflatten(run.settings), sort_keys=False))
    for step, timing in enumerate(STARTS, 1):
        attempt = folder.start_attempt()
        atomic_files.write_json(attempt.path / "timing.json", timing)
        metrics = {f"timing_s/{name}": seconds for name, seconds in STEP.items()}
        metrics["perf/total_num_tokens"] = tokens * inputs.prompts * inputs.rollouts
        attempt.append_metrics(step, metrics | ({"timing_s/testing": 8.0} if step == 2 else {}))
    folder.write_summary({"wall_seconds": wall})
    return folder


def expected(root: Path, run: Planned):
    (run,) = plan.make([run], measured=executor.measured(root)).runs
    return run.expected


def test_the_parts_of_a_run_are_read_from_its_folder(drafted, tmp_path):
    parts = past_runs.read(finished(tmp_path, drafted(*SMOKE)))
    assert (parts.start, parts.step, parts.rollout, parts.validation, parts.save) == (200, 60, 15, 8, 40)
    assert parts.inputs.row_tokens == 400


def test_a_run_is_scaled_to_itself_without_change(drafted, tmp_path):
    run = drafted(*SMOKE)
    parts = past_runs.read(finished(tmp_path, run))
    found = parts.expected(CostInputs.of(run.settings))
    # two starts, two steps, two validations, two checkpoints
    assert found.seconds == pytest.approx(2 * (200 + 60 + 8 + 40)) and found.validating == 16


def test_the_same_run_of_another_seed_takes_as_long(drafted, tmp_path):
    key = finished(tmp_path, drafted(*SMOKE)).key
    found = expected(tmp_path, drafted(*SMOKE[:-2], "seed=1", "scale=smoke"))
    assert found.seconds == 700 and found.runs == (key,) and not found.scaled


def test_starts_that_failed_are_no_part_of_what_a_run_takes(drafted, tmp_path):
    folder = finished(tmp_path, drafted(*SMOKE))
    folder.write_status(state="finished", wall_seconds=700.0, idle_seconds=450.0)
    assert expected(tmp_path, drafted(*SMOKE[:-2], "seed=1", "scale=smoke")).seconds == 250


def test_a_run_that_resumes_is_counted_with_what_is_left_of_it(drafted, tmp_path):
    run = drafted(*SMOKE[:-2], "seed=1", "scale=smoke")
    finished(tmp_path, drafted(*SMOKE))
    folder = RunFolder.open(tmp_path, run.key, run.valid_spec.as_dict())
    states = {"k": folder.status()}
    for step in (0, 1):
        stopped = states["k"].changed(state="interrupted", attempt=1, total_steps=4, resumes_from=step)
        made = plan.make([run], lambda keys, now=stopped: dict.fromkeys(keys, now), executor.measured(tmp_path))
        assert made.gpu_hours() == pytest.approx(700 * (1 - step / 4) * run.gpus / 3600)
        assert made.runs[0].seconds == 700


def test_the_real_run_is_scaled_from_the_smoke_run(drafted, tmp_path):
    key = finished(tmp_path, drafted(*SMOKE)).key
    run = drafted(*BIG, "algo=gapo_dapo", "trainer.test_freq=10")
    found, inputs = expected(tmp_path, run), CostInputs.of(run.settings)
    assert found.runs == (key,) and found.scaled
    smoke = replace(CostInputs.of(drafted(*SMOKE).settings), measured_tokens=400)
    step = 60 * step_seconds(replace(inputs, measured_tokens=400)) / step_seconds(smoke)
    # 3,328 answers are far more than 40: as long as rolling so many out, 15 s for 512
    validation = 15 * 3328 / 512
    assert found.validating == pytest.approx(9 * validation)
    assert found.seconds == pytest.approx(200 + 80 * step + 9 * validation + 8 * 40)


def test_the_more_tokens_a_row_had_the_longer_it_takes(drafted, tmp_path):
    run = drafted(*BIG)
    few, many = tmp_path / "few", tmp_path / "many"
    # other rows than those of the data that were measured: the formula knows how many tokens they have
    git = CostInputs.of(run.settings | {"data.name": "git"})
    for root, tokens in ((few, 200.0), (many, 800.0)):
        finished(root, drafted(*SMOKE), tokens)
    parts = [past_runs.read(RunFolder(root / drafted(*SMOKE).key)) for root in (few, many)]
    assert parts[0].expected(git).seconds > parts[1].expected(git).seconds


@pytest.mark.parametrize(
    "words",
    [
        ("model=qwen3_8b",),
        ("data.max_response_length=2048",),
        ("model.gpus=4",),
        ("cluster.nodes=2", "trainer.nnodes=2"),
    ],
)
def test_another_model_lengths_or_number_of_gpus_say_nothing(drafted, tmp_path, words):
    finished(tmp_path, drafted(*SMOKE))
    run = drafted(*BIG[1:], *(() if "model=" in words[0] else BIG[:1]), *words)
    assert run.spec, run.why
    assert not expected(tmp_path, run).runs


def test_the_nearest_in_size_and_rows_is_taken(drafted, tmp_path):
    finished(tmp_path, drafted(*SMOKE))
    larger = finished(tmp_path, drafted(*SMOKE, "data.train_batch_size=256"))
    assert expected(tmp_path, drafted(*BIG)).runs == (larger.key,)


def test_first_steps_after_a_start_count_only_where_there_are_no_others(drafted, tmp_path):
    folder = finished(tmp_path, drafted(*SMOKE))
    row = folder.attempts()[-1].rows()[-1]
    folder.attempts()[-1].append_metrics(3, {**row.metrics, "timing_s/step": 60.0})
    assert past_runs.read(folder).step == 20


def test_a_folder_that_says_too_little_is_left_out(drafted, tmp_path):
    folder = finished(tmp_path, drafted(*SMOKE))
    (folder.path / "config.yaml").unlink()
    assert past_runs.read(folder) is None
    assert not expected(tmp_path, drafted(*BIG)).runs


def test_the_slower_the_measured_steps_the_earlier_a_run_is_warned(drafted, tmp_path):
    run = drafted(*SMOKE[:-2], "seed=1", "scale=smoke")

    def grace(wall: float) -> float:
        finished(tmp_path / f"{wall}", drafted(*SMOKE), wall=wall)
        (planned,) = plan.make([run], measured=executor.measured(tmp_path / f"{wall}")).runs
        return planned.grace

    # of two steps; two of them, with a quarter more as room, and rounded up to a minute
    assert grace(6000) - grace(1000) == pytest.approx(1.25 * 2 * (3000 - 500), abs=60)


def test_a_past_run_whose_rows_have_been_moved_says_nothing(drafted, tmp_path):
    row = {"prompt": "1+1", "reward_model": {"ground_truth": "2"}}
    for name in ("train", "id"):
        (tmp_path / f"{name}.jsonl").write_text(f"{json.dumps(row)}\n" * 64)
    words = ("data=parquet", "reward=math", *(f"data.{name}={tmp_path / name}.jsonl" for name in ("train", "id")))
    folder = finished(tmp_path / "runs", drafted(*SMOKE, *words))
    assert past_runs.read(folder).inputs.typical_tokens > 0
    (tmp_path / "train.jsonl").rename(tmp_path / "elsewhere.jsonl")
    assert past_runs.read(folder) is None


def test_a_plan_says_where_its_hours_were_measured(drafted, tmp_path):
    key = finished(tmp_path, drafted(*SMOKE)).key
    made = plan.make([drafted(*BIG)], measured=executor.measured(tmp_path))
    assert totals(made).endswith(f"GPU-hours (measured in {key})") and "| about " in totals(made)
    assert key in notes(made)[-1] and "scaled" in notes(made)[-1]
    both = plan.make([drafted(*BIG), drafted("model=qwen3_8b", *BIG[1:])], measured=executor.measured(tmp_path))
    assert f"measured in {key}, partly estimated" in totals(both)
    out = io.StringIO()
    show_plan(made, Console(file=out, width=120))
    assert " ~" in out.getvalue()
