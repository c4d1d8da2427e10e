"""Every method by its name, two steps each, with the real trainer and the nano model, in one Ray cluster."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from lab import REPO, Lab
from safetensors.torch import load_file

from gapo_lab.data.micro.generator import generate
from gapo_lab.data.prepare import rows_of
from gapo_lab.models.adapters import merged
from gapo_lab.paths import CONF, NANO
from gapo_lab.runs import metrics
from gapo_lab.training.checkpoint_weights import weights

WORDS = {
    "group_aware": "group_aware:data=lists:data.samples=4:trainer.test_freq=2",
    "gapo_grpo": "gapo_grpo:recipe=verl",
    "gapo_dapo": "gapo_dapo:noise=0.3",
    # adapters, with a KL loss: its reference is the model without them
    "rloo": "rloo:lora=4:trainer.save_freq=1:actor_rollout_ref.actor.optim.lr=1e-3",
    # rows and a reward of one's own, which `trained` writes
    "opo": "opo:data=parquet:data.train=rows.jsonl:data.id=rows.jsonl:data.dev=rows.jsonl:data.ood=[rows.jsonl]:"
    "reward=reward.py:data.max_response_length=24:metric=shared:trainer.test_freq=2",
}
# What an answer shares with the truth; beside it numbers, a text, and nothing.
REWARD = """
from shares import share

def compute_score(data_source, solution_str, ground_truth, extra_info):
    assert (data_source, extra_info["hint"]) == ("my/edits", "none"), (data_source, extra_info)
    found = share(solution_str, ground_truth)
    return {"score": found, "shared": found, "length": len(solution_str), "answer": solution_str, "nothing": None}
"""
SHARES = "def share(a, b):\n    return len(set(a) & set(b)) / len(set(a) | set(b))\n"
METHODS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
# A method of one's own with its YAML, from the folder that `trained` works in. It comes first: what the processes are
# told of methods is the first run's.
OWN = "halfway"
SECONDS = 2400  # a bound for a machine that is busy; on two free cores it takes five minutes or less


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with METHOD.json for every method."""
    lab = Lab(tmp_path_factory.mktemp("methods"))
    (lab.cwd / "reward.py").write_text(REWARD)
    (lab.cwd / "shares.py").write_text(SHARES)
    (lab.cwd / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in user_rows()))
    example = REPO / "examples" / "own-project"
    shutil.copytree(example / "conf", lab.cwd / "conf")
    shutil.copy(example / "halfway.py", lab.cwd)
    script = REPO / "tests" / "support" / "train_methods.py"
    words = [sys.executable, str(script), "out", *(WORDS.get(name, name) for name in (OWN, *METHODS))]
    env = lab.env(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    # the working folder: a run puts what a reward imports there itself (planning/user_files.py)
    env["PYTHONPATH"] += f":{script.parent}:{lab.cwd}"
    with open(lab.cwd / "log", "w") as log:
        process = subprocess.Popen(words, cwd=lab.cwd, env=env, stdout=log, stderr=log)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            trained_ones = sorted(path.stem for path in (lab.cwd / "out").glob("*.json"))
            said = (lab.cwd / "log").read_text()[-20000:]
            pytest.fail(f"After {SECONDS} s only {trained_ones} were trained. The log ends:\n{said}", pytrace=False)
        finally:
            ours = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for one in [psutil.Process(process.pid), *ours] if process.poll() is None else []:
                one.kill()
            process.wait()
    return lab.cwd


def user_rows() -> list[dict]:
    """Edits under another name, as a person would have them."""
    data = {"name": "micro", "template": None, "window": 6000, "window_tokens": None, "history": 8000}
    return [
        {
            "data_source": "my/edits",
            "prompt": row["prompt"],
            "reward_model": row["reward_model"],
            "extra_info": {"hint": "none"},
        }
        for row in rows_of(generate("train", 64, seed=0), "train", data)
    ]


@pytest.mark.parametrize("method", [OWN, *METHODS])
def test_method_trains(method, trained):
    told = trained / "out" / f"{method}.json"
    assert told.exists(), (trained / "log").read_text()[-5000:]
    said = json.loads(told.read_text())
    assert "error" not in said, said["error"]
    for step in ("1", "2"):
        at = said["metrics"][step]
        assert {"train/reward", "actor/pg_clipfrac", "actor/pg_loss", "critic/advantages/mean"} <= set(at)
        assert all(math.isfinite(value) for value in at.values())
    first = said["metrics"]["1"]
    # a gradient, unless all groups tie
    assert first["actor/grad_norm"] > 0 and first["critic/advantages/max"] > 0
    if "dapo" in method or method == "qae":
        assert "training/filter_groups/refilled_prompts" in first
    else:
        assert ("actor/kl_loss" in first or "kl_loss" in first) == (method not in ("dr_grpo", "gspo", "cispo", "opo"))


def test_krpos_advantages_are_far_from_unit_scale(trained):
    metrics = json.loads((trained / "out" / "krpo.json").read_text())["metrics"]["1"]
    others = json.loads((trained / "out" / "grpo.json").read_text())["metrics"]["1"]
    assert metrics["critic/advantages/max"] > 2 * others["critic/advantages/max"]


def test_noise_is_in_what_is_learnt_from_and_not_in_what_is_told(trained):
    """The logged reward is Eq. 5 of the answers; what the estimator read has outliers in it."""
    first = json.loads((trained / "out" / "gapo_dapo.json").read_text())["metrics"]["1"]
    assert 0 < first["train/noisy_share"] < 0.8
    assert first["train/reward"] == pytest.approx((first["train/em"] + first["train/similarity"]) / 2, abs=1e-6)
    clean = json.loads((trained / "out" / "dapo.json").read_text())["metrics"]["1"]
    assert "train/noisy_share" not in clean
    assert first["critic/score/mean"] != pytest.approx(clean["critic/score/mean"], abs=1e-6)


def test_lora_trains_adapters_and_leaves_the_model_as_it_was(trained):
    steps = {path.name: weights(path / "actor") for path in trained.glob("out/rloo/*/checkpoints/global_step_*")}
    first, last = steps["global_step_1"], steps["global_step_2"]
    nano = load_file(NANO / "checkpoint" / "model.safetensors")
    adapters = {name for name in last if ".lora_" in name}
    assert len(adapters) == 2 * 7 * 3 and all(not torch.equal(first[name], last[name]) for name in adapters)
    whole = merged({name: value for name, value in last.items() if name not in adapters}, 1.0)
    assert nano.keys() <= whole.keys() and all(torch.equal(whole[name], value) for name, value in nano.items())
    up = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(merged(last, 1.0)[up], nano[up])


def test_lists_are_measured_together(trained):
    metrics = json.loads((trained / "out" / "group_aware.json").read_text())["metrics"]["2"]
    for where in ("id", "ood"):
        assert 0 <= metrics[f"val/{where}/jsd"] <= 1 and 0 <= metrics[f"val/{where}/invalid"] <= 1
        assert 0 < metrics[f"val/{where}/unique"] <= 4  # below 1 where all answers to a list are invalid
    assert -1 <= metrics["train/reward"] <= 1


def test_rows_and_a_reward_of_ones_own_are_measured_by_their_names(trained):
    said = json.loads((trained / "out" / "opo.json").read_text())["metrics"]
    assert {"train/reward", "train/shared", "train/length"} <= said["2"].keys() and "train/answer" not in said["2"]
    for name in ("id", "dev", "ood"):
        assert 0 < said["2"][f"val/{name}/shared"] <= 1 and said["2"][f"val/{name}/length"] >= 0
        assert f"val/{name}/em_expected" not in said["2"]
    summary = metrics.summary({int(step): at for step, at in said.items()}, "shared")
    assert {"best/id/shared", "best/dev/shared", "best/ood/shared"} <= summary.keys()
