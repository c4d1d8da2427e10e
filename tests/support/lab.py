"""A working folder for small real runs of the command line, and what tests ask of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).parents[2]
# Seconds that a test waits for what takes one or two minutes: a bound for a machine that does much else.
PATIENCE = 900
# Real verl, real nano model, few tasks: three steps of 32 rollouts.
TINY = (
    "data.train_size=64",
    "data.id_size=16",
    "data.dev_size=8",
    "data.ood_size=8",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.total_training_steps=3",
    "trainer.test_freq=1",
    "trainer.save_freq=1",
)
# For tests that share no run: without a GPU a run has two workers, and takes half as long again.
ONE_WORKER = "trainer.n_gpus_per_node=1"


@dataclass
class Lab:
    """`gapo_lab.run` in a working folder."""

    cwd: Path
    started: list[subprocess.Popen] = field(default_factory=list, kw_only=True)

    def env(self, **extra: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("VERL_", "MLFLOW_", "RAY_", "GAPO_LAB_"))}
        return {**env, "PYTHONPATH": str(REPO), "COLUMNS": "200", **extra}

    def start(self, *words: str, tiny: bool = True, **env: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "gapo_lab.run", *(TINY if tiny else ()), *words]
        process = subprocess.Popen(
            command, cwd=self.cwd, env=self.env(**env), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """What a test that failed has left running; a killed supervisor's watchdog ends the rest."""
        for process in self.started:
            process.kill()
            process.wait()

    def run(self, *words: str, tiny: bool = True, **env: str) -> subprocess.CompletedProcess:
        process = self.start(*words, tiny=tiny, **env)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.terminate()
            process.wait(30)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def command(self, *words: str) -> subprocess.CompletedProcess:
        """`python -m gapo_lab WORDS` in the working folder."""
        program = [sys.executable, "-m", "gapo_lab", *words]
        return subprocess.run(
            program, cwd=self.cwd, env=self.env(), capture_output=True, text=True, timeout=120, check=False
        )

    def folder(self, key: str | None = None):
        """The only run folder here, or the one of `key`."""
        from gapo_lab.runs.folder import RunFolder

        runs = [p for p in (self.cwd / "runs").iterdir() if p.is_dir() and not p.name.startswith(".")]
        found = [p for p in runs if key in (None, p.name)]
        assert len(found) == 1, found
        return RunFolder(found[0])


def wait_until(good: Callable[[], object], process: subprocess.Popen | None = None, seconds: float = PATIENCE) -> None:
    """Wait until ``good``; fail when ``process`` ends first, with what it printed."""
    end = time.monotonic() + seconds
    while not good():
        ended = process is not None and process.poll() is not None
        assert not ended and time.monotonic() < end, process.communicate() if ended else f"{seconds} s have passed"
        time.sleep(0.1)


def science(merged: dict[int, dict[str, float]]) -> dict[int, dict[str, float]]:
    """The metrics that a seed decides: without times, memory and throughput."""
    clocks = ("timing", "perf/", "actor/perf", "training/epoch")
    return {step: {k: v for k, v in at.items() if not k.startswith(clocks)} for step, at in merged.items()}
