"""All checks of the examined runs, in the order in which a run would meet what they look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gapo_lab.doctor import data, machine, model, packages, reward, slurm, storage, tracking
from gapo_lab.doctor.examined_runs import ExaminedRuns
from gapo_lab.doctor.finding import Finding, unseen

HERE = "no GPU here: try --on-node"


def here(examined: ExaminedRuns, scripts: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what this machine can say. scripts: the batch scripts of the plan."""
    yield from _packages(examined)
    if examined.is_cluster:
        yield from _left_to_a_node(examined)
    else:
        yield from _machine(examined, examined.gpus_of_a_node)
    yield from _models_and_data(examined)
    if examined.is_cluster:
        yield from slurm.look(scripts, examined.first.get("cluster.shell_variables") or ())
    yield from storage.look(examined.root, examined.need, examined.is_cluster)
    yield from tracking.look(examined.first.get("tracking", "live"), examined.is_cluster)


def on_node(examined: ExaminedRuns, node: str, folder: Path, word: str) -> Iterator[Finding]:
    """Yield what a node can say, in a job of its own with one GPU.

    folder, word: where a word was written before the job was submitted, which the node must read.
    """
    yield storage.check_seen(examined.root, node, storage.recalls(folder, word))
    yield from _packages(examined)
    yield from _machine(examined, min(1, examined.gpus_of_a_node))
    yield from _models_and_data(examined)
    yield from storage.look(examined.root, examined.need, is_cluster=False)
    yield from tracking.look(examined.first.get("tracking", "live"), examined.is_cluster)


def _packages(examined: ExaminedRuns) -> Iterator[Finding]:
    for backend in examined.backends:
        yield from packages.look(any(one["backend.name"] == backend for one in examined.on_gpus), backend)


def _machine(examined: ExaminedRuns, gpus: int) -> Iterator[Finding]:
    reckoned = [memory for one in examined.on_gpus if (memory := one.get("cluster.gpu_memory")) is not None]
    yield from machine.look(bool(gpus), gpus, max(reckoned, default=None), in_job=examined.is_cluster)
    for backend in examined.backends:
        yield from packages.look_at_vllm(backend)
    for attention, is_asked in examined.attentions.items():
        yield packages.look_at_attention(attention, is_asked)


def _left_to_a_node(examined: ExaminedRuns) -> Iterator[Finding]:
    """Yield what a login node cannot say for the others."""
    if examined.gpus_of_a_node:
        yield unseen("GPUs", HERE, "")
        yield unseen("compiler", "of the nodes: gcc and Python.h")
    if {"vllm", "vllm_cpu"} & set(examined.backends):
        yield unseen("vLLM", "and flash-attn are imported where they run")


def _models_and_data(examined: ExaminedRuns) -> Iterator[Finding]:
    for name, path in examined.models.items():
        yield from model.look(name, path)
    for settings in examined.data:
        yield from data.look(settings)
    for settings in examined.rewards:
        yield from reward.look(settings)
