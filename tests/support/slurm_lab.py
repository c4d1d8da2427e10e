"""The one-machine SLURM cluster for tests, and a working folder on it."""

from __future__ import annotations

import os
import subprocess
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import PATIENCE, REPO, Lab

from gapo_lab.launch import run_states
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import RunStatus
from gapo_lab.runs.studies import of_study
from gapo_lab.training.rehearsal import made_up

# Each checkout, and each worker of pytest-xdist, has its own cluster on the machine.
NUMBER = zlib.crc32(f"{REPO}{os.environ.get('PYTEST_XDIST_WORKER')}".encode()) % 500
FOLDER = Path(f"/tmp/gapo-test-cluster-{NUMBER}")
# SLURM's own limit is 1001; here the 24 runs of test_soak are already too many for one array.
LARGEST_ARRAY = 20
# Rehearsals need no core of their own.
DEV = ("cluster=dev", "cluster.max_parallel=64")
ENV = {
    "GAPO_LAB_DEV_CLUSTER": str(FOLDER),
    "GAPO_LAB_DEV_PORT": str(17100 + 20 * NUMBER),
    "GAPO_LAB_DEV_ARRAY": str(LARGEST_ARRAY + 1),
}


def dev_cluster(*words: str, timeout: float = 600) -> subprocess.CompletedProcess:
    # to files: a daemon that it starts would keep a pipe open
    FOLDER.parent.mkdir(exist_ok=True)
    out = Path(f"{FOLDER}.out")
    with open(out, "wb") as sink:
        done = subprocess.run(
            [REPO / "slurm" / "dev-cluster", *words],
            env={**os.environ, **ENV},
            stdin=subprocess.DEVNULL,
            check=False,
            stdout=sink,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
    return subprocess.CompletedProcess(done.args, done.returncode, out.read_text(), "")


@dataclass
class SlurmLab(Lab):
    """Sweeps of rehearsals on the dev cluster."""

    conf: dict[str, str] = field(default_factory=lambda: {"SLURM_CONF": str(FOLDER / "slurm.conf")})

    @property
    def root(self) -> Path:
        return self.cwd / "runs"

    def sweep(self, *words: str, **env: str) -> subprocess.CompletedProcess:
        return self.run("-m", "scale=rehearsal", *DEV, *words, tiny=False, **self.conf, **env)

    def start_sweep(self, *words: str) -> subprocess.Popen:
        return self.start("-m", "scale=rehearsal", *DEV, *words, tiny=False, **self.conf)

    def command(self, *words: str) -> subprocess.CompletedProcess:
        import sys

        return subprocess.run(
            [sys.executable, "-m", "gapo_lab", *words],
            cwd=self.cwd,
            env=self.env(**self.conf),
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
        )

    def slurm(self, *words: str) -> str:
        return subprocess.run(
            words, env={**os.environ, **self.conf}, check=False, capture_output=True, text=True, timeout=60
        ).stdout

    def keys(self, study: str) -> list[str]:
        return of_study(self.root, study)

    def states(self, study: str) -> dict[str, RunStatus]:
        os.environ.update(self.conf)
        try:
            return run_states.read(self.root, self.keys(study))
        finally:
            os.environ.pop("SLURM_CONF")

    def until(
        self, study: str, good: Callable[[dict[str, RunStatus]], bool], seconds: float = PATIENCE
    ) -> dict[str, RunStatus]:
        """Wait until the states of a study's runs are as wanted."""
        end = time.monotonic() + seconds
        while not good(found := self.states(study)):
            if time.monotonic() > end:
                logs = [p.read_text()[-1500:] for p in self.root.glob(".submissions/*/*.out")]
                raise AssertionError(f"{found}\n{logs}")
            time.sleep(1)  # each look asks SLURM
        return found

    def one(self, study: str) -> RunFolder:
        (key,) = self.keys(study)
        return RunFolder(self.root / key)

    def at_step(self, study: str, step: int) -> RunStatus:
        """Wait until the only run of a study has done so many steps; its status."""
        found = self.until(
            study,
            lambda s: all(v.state == "running" and v.step >= step for v in s.values()),
        )
        return next(iter(found.values()))

    def finished(self, study: str, seconds: float = PATIENCE) -> dict[str, RunStatus]:
        """Wait until all runs of a study have finished; what has failed for a minute is not started again by itself."""
        failed_until = time.monotonic() + 60

        def good(states: dict[str, RunStatus]) -> bool:
            nonlocal failed_until
            if not any(status.state == "failed" for status in states.values()):
                failed_until = time.monotonic() + 60
            assert time.monotonic() < failed_until, states
            return bool(states) and all(status.state == "finished" for status in states.values())

        return self.until(study, good, seconds)

    def left_the_queue(self, job: str, seconds: float = 120) -> None:
        """Wait until a job is over: a run is finished before its last copy to MLflow is."""
        end = time.monotonic() + seconds
        while job in self.slurm("squeue", "--noheader", "--format=%i %A").split():
            assert time.monotonic() < end, f"job {job} is still in the queue"
            time.sleep(0.5)


def undisturbed(folder: RunFolder, seed: int, steps: int) -> bool:
    """The metrics of a rehearsal are those of one that nobody touched: every step, once, the same numbers."""
    return folder.merged_metrics() == {step: made_up(seed, step) for step in range(1, steps + 1)}


def submitted(done: subprocess.CompletedProcess) -> int:
    """How many jobs a command that succeeded has submitted."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.count("submitted ")
