"""All checks of a case, in the order in which a run would meet what they look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gapo_lab.doctor import data, machine, model, packages, reward, slurm, storage, tracking
from gapo_lab.doctor.examined import Case
from gapo_lab.doctor.finding import Finding, unseen

HERE = "no GPU here: try --on-node"


def here(case: Case, scripts: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what this machine can say. scripts: the batch scripts of the plan."""
    yield from _packages(case)
    if case.is_cluster:
        yield from _left_to_a_node(case)
    else:
        yield from _machine(case, case.gpus_of_a_node)
    yield from _models_and_data(case)
    if case.is_cluster:
        yield from slurm.look(scripts, case.first.get("cluster.shell_variables") or ())
    yield from storage.look(case.root, case.need, case.is_cluster)
    yield from tracking.look(case.first.get("tracking", "live"), case.is_cluster)


def on_node(case: Case, node: str, folder: Path, word: str) -> Iterator[Finding]:
    """Yield what a node can say, in a job of its own with one GPU.

    folder, word: where a word was written before the job was submitted, which the node must read.
    """
    yield storage.check_seen(case.root, node, storage.recalls(folder, word))
    yield from _packages(case)
    yield from _machine(case, min(1, case.gpus_of_a_node))
    yield from _models_and_data(case)
    yield from storage.look(case.root, case.need, is_cluster=False)
    yield from tracking.look(case.first.get("tracking", "live"), case.is_cluster)


def _packages(case: Case) -> Iterator[Finding]:
    for backend in case.backends:
        yield from packages.look(any(one["backend.name"] == backend for one in case.on_gpus), backend)


def _machine(case: Case, gpus: int) -> Iterator[Finding]:
    reckoned = [memory for one in case.on_gpus if (memory := one.get("cluster.gpu_memory")) is not None]
    yield from machine.look(bool(gpus), gpus, max(reckoned, default=None), in_job=case.is_cluster)
    for backend in case.backends:
        yield from packages.look_at_vllm(backend)
    for attention, is_asked in case.attentions.items():
        yield packages.look_at_attention(attention, is_asked)


def _left_to_a_node(case: Case) -> Iterator[Finding]:
    """Yield what a login node cannot say for the others."""
    if case.gpus_of_a_node:
        yield unseen("GPUs", HERE, "")
        yield unseen("compiler", "of the nodes: gcc and Python.h")
    if {"vllm", "vllm_cpu"} & set(case.backends):
        yield unseen("vLLM", "and flash-attn are imported where they run")


def _models_and_data(case: Case) -> Iterator[Finding]:
    for name, path in case.models.items():
        yield from model.look(name, path)
    for settings in case.data:
        yield from data.look(settings)
    for settings in case.rewards:
        yield from reward.look(settings)
