"""Runs of a sweep that start from a process which has imported verl, against those that start from nothing."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measurement import Row

# As each run of `sweeps/paper.yaml`: 40 steps, five validations.
PAPER = ("trainer.total_training_steps=40", "trainer.test_freq=10", "trainer.save_freq=-1", "tracking=live")
# Nothing between the start and the first step; steps enough for the next run to get ready beside them.
FIRST_STEP = ("trainer.total_training_steps=25", "trainer.test_freq=-1", "trainer.val_before_train=false")


def warm_against_cold_starts(runs: int = 3) -> list[Row]:
    """Measure the seconds from a run's start to its first step, one run after another, without validation before.

    A warm run is forked from a process that has already imported verl; a cold run starts in a fresh process. The first
    run is not counted, because the others wait for it.
    """
    warm, cold = (
        statistics.median(_first_steps(runs, *FIRST_STEP, "trainer.save_freq=-1", f"cluster.warm={warm}")[1:])
        for warm in ("true", "false")
    )
    return [Row("a run's start to its first step, warm / cold", warm, cold, 1 / 3)]


def warm_against_cold_sweep(runs: int = 6) -> list[Row]:
    """Measure seconds and processor seconds per run of the sweep of docs/speed.md: runs of the paper sweep, three at
    a time, with one worker each.

    The target, two thirds of the seconds, means 1.5 times as many runs per hour.
    """
    words = (*PAPER, "cluster.max_parallel=3", "trainer.n_gpus_per_node=1")
    (warm, warm_cpu), (cold, cold_cpu) = (_sweep(runs, *words, f"cluster.warm={warm}") for warm in ("true", "false"))
    return [
        Row("a run of the paper's sweep, warm / cold", warm / runs, cold / runs, 2 / 3),
        Row("its processor seconds, warm / cold", warm_cpu / runs, cold_cpu / runs),
    ]


def _first_steps(runs: int, *words: str) -> list[float]:
    from gapo_lab.runs.run_root import find

    with tempfile.TemporaryDirectory() as folder:
        _run(folder, runs, words)
        found = list(find(Path(folder) / "runs"))
        began = {one.raw_status.started: one.merged_points()[1]["train/reward"].time for one in found}
    return [first - start for start, first in sorted(began.items()) if start]


def _sweep(runs: int, *words: str) -> tuple[float, float]:
    """Seconds of the clock and of the processors, all processes together."""
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.monotonic(), _processors()
        _run(folder, runs, words)
        return time.monotonic() - start, _processors() - before


def _run(folder: str, runs: int, words: Sequence[str]) -> None:
    command = [sys.executable, "-m", "gapo_lab.run", "-m", f"seed=range({runs})", *words]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _processors() -> float:
    """Processor seconds of this process's children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
