"""What the tests share: small real runs of the command line, each in a working folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# before any test imports verl
os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("VERL_USE_EXTERNAL_MODULES", "gapo_lab.training.verl_plugin")
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# a shell starts what it puts into the background deaf to Ctrl-C, and the runs would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

REPO = Path(__file__).parents[1]
# Real verl, real nano model, few tasks: three steps of 32 rollouts.
TINY = (
    "data.train_size=64",
    "data.id_size=16",
    "data.ood_size=8",
    "data.train_batch_size=8",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.rollout.n=4",
    "trainer.total_training_steps=3",
    "trainer.test_freq=1",
    "trainer.save_freq=1",
)


# The files that take longest, which pytest-xdist must give out first (--dist loadfile: a file is one worker's).
LONGEST = [
    "test_training",
    "test_slurm",
    "test_methods_train",
    "test_soak",
    "test_search_real",
    "test_launch",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@dataclass
class Lab:
    """`gapo_lab.run` in a working folder."""

    cwd: Path
    started: list[subprocess.Popen] = field(default_factory=list, kw_only=True)

    def env(self, **extra: str) -> dict[str, str]:
        env = {
            k: v for k, v in os.environ.items() if not k.startswith(("VERL_", "MLFLOW_", "RAY_", "GAPO_LAB_"))
        }
        return {**env, "PYTHONPATH": str(REPO), "COLUMNS": "200", **extra}

    def start(self, *words: str, tiny: bool = True, **env: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "gapo_lab.run", *(TINY if tiny else ()), *words]
        process = subprocess.Popen(command, cwd=self.cwd, env=self.env(**env), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        self.started.append(process)
        return process

    def end(self) -> None:
        """What a test that failed has left running; a killed supervisor's sentinel ends the rest."""
        for process in self.started:
            process.kill()
            process.wait()

    def run(self, *words: str, tiny: bool = True, **env: str) -> subprocess.CompletedProcess:
        process = self.start(*words, tiny=tiny, **env)
        try:
            out, err = process.communicate(timeout=300)
        except BaseException:
            process.terminate()
            process.wait(30)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def folder(self, key: str | None = None):
        """The only run folder here, or the one of `key`."""
        from gapo_lab.runs.folder import RunFolder

        runs = [p for p in (self.cwd / "runs").iterdir() if p.is_dir() and not p.name.startswith(".")]
        found = [p for p in runs if key in (None, p.name)]
        assert len(found) == 1, found
        return RunFolder(found[0])


@pytest.fixture
def lab(tmp_path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.end()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Lab:
    """One undisturbed run of gapo_grpo, seed 0, that many tests look at, in all workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    lab, output = Lab(base / "finished"), base / "finished.txt"
    with FileLock(base / "finished.lock"):
        if not output.exists():
            lab.cwd.mkdir()
            done = lab.run()
            assert done.returncode == 0, done.stdout + done.stderr
            output.write_text(done.stdout)
    lab.output = output.read_text()
    return lab


def science(merged: dict[int, dict[str, float]]) -> dict[int, dict[str, float]]:
    """The metrics that a seed decides: without times, memory and throughput."""
    clocks = ("timing", "perf/", "actor/perf", "training/epoch")
    return {step: {k: v for k, v in at.items() if not k.startswith(clocks)} for step, at in merged.items()}


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory) -> Path:
    """A database that MLflow itself has made and migrated, without runs."""
    import sqlite3
    from contextlib import closing

    from gapo_lab.tracking import mlflow_client

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    mlflow_client.connect(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=DELETE")  # one file, to be copied
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """The one-machine SLURM cluster is up. Skips, and says why, without root or packages."""
    import slurm_lab

    if missing := slurm_lab.dev_cluster("check").stdout.strip():
        pytest.skip(f"no SLURM here: {missing}")
    up = slurm_lab.dev_cluster("up")
    assert up.returncode == 0, up.stdout
    yield
    slurm_lab.dev_cluster("down")
    assert not slurm_lab.FOLDER.exists()
