"""What a run asks its cluster for where the site leaves it open: memory, and time to save before the limit. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gapo_lab.planning import cost
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.planning.memory import GB, host_memory, host_memory_without_gpu
from gapo_lab.utils.text import several

# Room for what an estimate of memory does not know.
MEMORY_ROOM = 1.1
# To how many GB it is rounded up: coarsely, since runs that ask for different memory go into different arrays.
MEMORY_STEP, MEMORY_STEP_OF_MUCH, MUCH_MEMORY, MEMORY_STEP_WITHOUT_GPU = 100, 200, 400, 2
# Options of sbatch that ask for memory in another way.
MEMORY_OPTIONS = frozenset({"mem", "mem_per_cpu", "mem_per_gpu"})
# Room for an estimate that is right within a factor of two, and for one that rests on a finished run.
ESTIMATED_ROOM, MEASURED_ROOM = 2.0, 1.25
# SLURM may warn a minute early, and ending the processes takes a while.
ENDING_SECONDS = 60
LEAST_GRACE, MOST_GRACE = 120, 65_535
# submitit counts a warning as one of the time limit (cluster.requeues) only in the last fifth of a job, or its last ten
# minutes where those are more; before that it takes it for a preemption, which is not counted.
COUNTED_SHARE, COUNTED_SECONDS = 0.2, 600
KL_LOSS, KL_REWARD = "actor_rollout_ref.actor.use_kl_loss", "algorithm.use_kl_in_reward"


def filled(cluster: ClusterConfig, settings: Mapping[str, Any]) -> ClusterConfig:
    """Return what is asked for, with the memory of a node (GB) where the site leaves it open.

    settings: the run's configuration by dotted key.
    """
    if cluster.is_local or cluster.memory is not None or MEMORY_OPTIONS & cluster.sbatch_options.keys():
        return cluster
    return replace(cluster, memory=default_memory(settings))


def default_memory(settings: Mapping[str, Any]) -> int:
    """Return the GB of one node's memory that a run needs, with room."""
    parameters, workers = settings["model.billions"] * 1e9, settings["trainer.n_gpus_per_node"]
    if not settings["backend.needs_gpu"]:
        with_vllm = settings["backend.name"] != "cpu"
        need = host_memory_without_gpu(parameters, workers, with_vllm)
        return _up(need / GB, MEMORY_STEP_WITHOUT_GPU)
    offloaded = bool(settings.get("actor_rollout_ref.actor.fsdp_config.optimizer_offload"))
    reference = bool(settings.get(KL_LOSS) or settings.get(KL_REWARD))
    need = MEMORY_ROOM * host_memory(parameters / settings["trainer.nnodes"], offloaded, reference, workers) / GB
    return _up(need, MEMORY_STEP if need <= MUCH_MEMORY else MEMORY_STEP_OF_MUCH)


def grace_seconds(settings: Mapping[str, Any], seconds: float | None, measured: bool) -> int:
    """Return how many seconds before its time limit a run must be warned: two steps, a validation and a checkpoint.

    seconds, measured: how long the whole run is expected to take, and whether that is from finished runs.
    """
    run = cost.CostInputs.of(settings)
    if run.rehearsal_steps:
        return LEAST_GRACE
    step, validation = cost.step_seconds(run), cost.validation_seconds(run)
    if measured and seconds and run.steps:
        step = seconds / run.steps
    saving = cost.save_seconds(run)
    room = MEASURED_ROOM if measured else ESTIMATED_ROOM
    need = room * (2 * step + validation + saving) + ENDING_SECONDS
    limit = settings["cluster.hours"] * 3600
    counted = max(COUNTED_SHARE * limit, COUNTED_SECONDS) - 2 * ENDING_SECONDS  # SLURM a minute early, Python late
    most = min(MOST_GRACE, limit / 2, counted)
    return int(min(most, max(LEAST_GRACE, _up(need, 60))))


def asked_for(cluster: ClusterConfig, grace: float) -> str:
    """Return it in a line: `1 node x 8 GPUs, 64 cores and 300 GB of memory a node, 24 h; warned 14 min before ...`."""
    gpus = f" x {several(cluster.gpus, 'GPU')}" if cluster.gpus else ""
    options = cluster.sbatch_options
    asked = next((f"{name.replace('_', '-')}={options[name]}" for name in sorted(MEMORY_OPTIONS & options.keys())), "")
    if not asked:
        asked = "all memory" if cluster.memory == 0 else f"{cluster.memory:g} GB of memory"
    what = f"{several(cluster.nodes, 'node')}{gpus}, {several(cluster.cores, 'core')} and {asked} a node"
    warned = f"{grace / 60:.0f} min" if grace >= 120 else f"{grace:.0f} s"
    return f"{what}, {cluster.hours:g} h; warned {warned} before the end, to save"


def _up(value: float, step: int) -> int:
    return step * math.ceil(value / step)
