"""What the tests share: small real runs of the command line, each in a working folder of its own."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from databases import give_database
from filelock import FileLock
from hypothesis import settings
from lab import REPO, Lab
from samples import ALL, QUICK

# A busy machine is no failure.
settings.register_profile("patient", deadline=None, max_examples=ALL)
settings.register_profile("quick", deadline=None, max_examples=QUICK)
settings.load_profile("patient")

# before any test imports verl
os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("VERL_USE_EXTERNAL_MODULES", "gapo_lab.training.verl_plugin")
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# a shell starts what it puts into the background deaf to Ctrl-C, and the runs would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

# The files that take longest, which pytest-xdist must give out first (--dist loadfile: a file is one worker's).
LONGEST = [
    "test_vllm_cpu",
    "test_training",
    "test_slurm_faults",
    "test_methods_train",
    "test_slurm",
    "test_search_real",
    "test_warm_starts",
    "test_launch",
    "test_single_run",
    "test_wheel",
    "test_soak",
    "test_search_slurm",
]


SLOW_FOLDERS = {"integration", "slurm"}
# What `--dist loadfile` gives out as one: each worker that has one of these files imports verl.
WITH_VERL = "the files that import verl"


def pytest_configure(config: pytest.Config) -> None:
    """Try a quarter of a property's examples where the slow tests are left out; CI tries them all (samples.py)."""
    if "not slow" in config.option.markexpr:
        settings.load_profile("quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import a file where the marks leave all of it out: verl takes a quarter of a minute, MLflow seconds."""
    if collection_path.suffix != ".py":
        return None
    out = [mark for mark in ("verl", "slow") if f"not {mark}" in config.option.markexpr]
    if "slow" in out and collection_path.parent.name in SLOW_FOLDERS:
        return True
    text = collection_path.read_text(encoding="utf-8") if out else ""
    return any(f"\npytestmark = pytest.mark.{mark}" in text for mark in out) or None


@pytest.hookimpl(optionalhook=True)  # not there with -p no:xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log) -> object | None:
    """Let the files that import verl be one worker's, where a file is one worker's (--dist loadfile)."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class FilesWithVerlTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return WITH_VERL if imports_verl(str(config.rootpath / file)) else file

    return FilesWithVerlTogether(config, log)


@cache
def imports_verl(file: str) -> bool:
    """Whether a file of tests in this process has a test that is marked so."""
    return Path(file).parent.name not in SLOW_FOLDERS and "pytest.mark.verl" in Path(file).read_text(encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give out the longest files first, and mark what a folder says: integration/ is slow, slurm/ needs SLURM."""
    for item in items:
        folders = item.path.relative_to(Path(__file__).parent).parts[:-1]
        if SLOW_FOLDERS & set(folders):
            item.add_marker("slow")
        if "slurm" in folders:
            item.add_marker("slurm")
    items.sort(key=place)


def place(item: pytest.Item) -> int:
    """The place of a test's file among those that take longest; after these the files with verl, then the others."""
    if item.path.stem in LONGEST:
        return LONGEST.index(item.path.stem)
    return len(LONGEST) + (not imports_verl(str(item.path)))


def pytest_collection_finish() -> None:
    """Let the garbage collector leave out what is imported by now: a look through all of it takes a while."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def lab(tmp_path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.end()


@pytest.fixture
def live_lab(lab, empty_mlflow) -> Lab:
    """A lab whose MLflow database is there already."""
    give_database(lab.cwd, empty_mlflow)
    return lab


def of_all_workers(tmp_path_factory) -> Path:
    """The temporary folder that all workers of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def smollm2_folder(tmp_path_factory) -> Path:
    """SmolLM2, unpacked once for all tests: half a minute of a core."""
    from gapo_lab.models import smollm2

    return smollm2.ensure(of_all_workers(tmp_path_factory) / "smollm2")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Lab:
    """One undisturbed run of gapo_grpo, seed 0, that many tests look at, in all workers of pytest-xdist."""
    base = of_all_workers(tmp_path_factory)
    lab, output = Lab(base / "finished"), base / "finished.txt"
    with FileLock(base / "finished.lock"):
        if not output.exists():
            lab.cwd.mkdir()
            done = lab.run()
            assert done.returncode == 0, done.stdout + done.stderr
            output.write_text(done.stdout)
    lab.output = output.read_text()
    return lab


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory, pytestconfig) -> Path:
    """A database that MLflow itself has made and migrated, without runs; once for all workers of pytest-xdist.

    It takes seconds, so it is kept in pytest's cache, under a name that changes with what makes it.
    """
    import sqlite3
    from contextlib import closing
    from importlib.metadata import version

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cache = getattr(pytestconfig, "cache", None)  # not there with -p no:cacheprovider
    kept = cache.mkdir("mlflow") if cache else base
    code = zlib.crc32((REPO / "gapo_lab" / "tracking" / "mlflow_client.py").read_bytes())
    path = kept / f"empty-{version('mlflow')}-{version('sqlalchemy')}-{code:x}.db"
    with FileLock(kept / "empty.lock"):
        if not path.exists():
            from gapo_lab.tracking import mlflow_client

            made = base / "migrated.db"
            mlflow_client.connect(f"sqlite:///{made}")
            with closing(sqlite3.connect(made)) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all in one file, to be copied
            shutil.copy(made, path.with_suffix(".aside"))
            path.with_suffix(".aside").rename(path)
    return path


@pytest.fixture
def database(empty_mlflow, tmp_path) -> str:
    """The address of an MLflow of the test's own, without runs."""
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


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
