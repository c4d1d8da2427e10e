"""A run without training (`scale=rehearsal`): steps that take a while, made-up metrics, checkpoints.

The metrics are a function of seed and step, and of tau where there is a best one to be found: an interrupted rehearsal
must end as an undisturbed one.
"""

from __future__ import annotations

import math
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gapo_lab.errors import STOPPED
from gapo_lab.paths import IMPORT_ROOT
from gapo_lab.runs import checkpoints
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils import atomic_files
from gapo_lab.utils.ray_cpus import cpus


def made_up(seed: int, step: int) -> dict[str, float]:
    """Return the metrics of one step."""
    pick = random.Random(f"{seed} {step}")
    names = ("train/reward", "val/id/em", "val/ood/em", "val/dev/em_expected")
    return {name: pick.random() for name in names}


def curve(seed: int, step: int, tau: float | None, best: float) -> dict[str, float]:
    """Return the metrics of one step where exact match rises with training, the higher the nearer tau is to ``best``.

    Methods without tau do as one that is 0.5 off. The clip fraction grows with tau, against it.
    """
    noise = random.Random(f"{seed} {step}").uniform(-0.01, 0.01)
    off = 0.5 if tau is None else tau - best
    em = max(0.0, (0.8 - 1.2 * off**2) * (1 - math.exp(-step / 4)) + noise)
    return {
        "train/reward": em,
        "val/id/em": em,
        "val/dev/em_expected": em,
        "val/ood/em": em / 2,
        "actor/pg_clipfrac": 0.3 * (tau or 0.0),
    }


def rehearse(config: Mapping[str, Any], folder: RunFolder, attempt: Attempt, scratch: Path) -> int:
    """Go through the steps from the last checkpoint on, with a Ray cluster where there are several nodes.

    Returns the exit code: 0, or STOPPED after saving when told to stop.
    """
    if config["cluster"]["nodes"] == 1:
        return _steps(config, folder, attempt)
    with _ray(config, folder, scratch):
        return _steps(config, folder, attempt)


@contextmanager
def _ray(config: Mapping[str, Any], folder: RunFolder, scratch: Path) -> Iterator[None]:
    """Ray over all nodes of the job, each of which has answered."""
    from gapo_lab.training.ray_cluster import environment, in_time, invited, start_ray

    os.environ.update(environment(config, scratch))
    import ray

    workers, count = config["trainer"]["n_gpus_per_node"], config["cluster"]["nodes"]
    patience = config["cluster"]["ray_patience"]
    with in_time(folder, patience + 30):
        address = start_ray(
            patience,
            include_dashboard=False,
            num_cpus=cpus(workers),
            num_gpus=workers,
            _temp_dir=str(scratch),
            object_store_memory=100_000_000,
        )
    try:
        with invited(address, scratch / "token", count, patience):
            for node in ray.nodes():
                print(f"Ray node {node['NodeID'][:8]} with {node['Resources'].get('GPU', 0):.0f} GPUs")
            yield
    finally:
        ray.shutdown()


def _steps(config: Mapping[str, Any], folder: RunFolder, attempt: Attempt) -> int:
    asked, every = config["rehearsal"], config["trainer"]["save_freq"]
    first = folder.resume_step() + 1
    print(f"rehearsal from step {first} of {asked['steps']}, pid {os.getpid()}, code from {IMPORT_ROOT}")
    folder.report("rehearsing", total_steps=asked["steps"], can_save=True)
    for step in range(first, asked["steps"] + 1):
        time.sleep(asked["seconds"])
        held = bytearray(asked["memory_mb"] * 1_000_000) if step == 2 else None
        if held:
            held[::4096] = b"x" * len(held[::4096])
            time.sleep(60)  # until the scheduler has seen it
        attempt.append_metrics(step, _metrics(config, step))
        folder.report("rehearsing", step=step)
        stops = attempt.stop_path.exists()
        if stops or (every > 0 and step % every == 0):
            _save(folder.checkpoints, step)
        if stops:
            return STOPPED
    return 0


def _save(place: Path, step: int) -> None:
    """Write a checkpoint without weights, laid out as verl's."""
    atomic_files.make_folder(place / f"global_step_{step}" / "actor")
    atomic_files.write_text(place / checkpoints.TRACKER, str(step))
    checkpoints.prune(place, keep=step)


def _metrics(config: Mapping[str, Any], step: int) -> dict[str, float]:
    asked, metric = config["rehearsal"], config.get("metric") or "em"
    if asked["best_tau"] is None:
        found = made_up(config["seed"], step)
    else:
        found = curve(config["seed"], step, asked["tau"], asked["best_tau"])
    # what the study is about, in place of exact match
    return {re.sub(r"^(val/[^/]+)/em\b", rf"\1/{metric}", name): value for name, value in found.items()}
