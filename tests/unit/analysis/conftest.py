"""Working folders with runs, for reports."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rehearsed_runs import rehearse

from gapo_lab.tracking import uri as addresses


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(addresses.VARIABLE, raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory) -> Path:
    """Two studies of rehearsals that share runs, with noise and several taus."""
    root = tmp_path_factory.mktemp("rehearsed") / "runs"
    root.mkdir()
    noisy, seeds = ("noise=0", "noise=0.1"), ("seed=0", "seed=1")
    rehearse(root, "first", ("algo=grpo",), noisy, seeds)
    rehearse(root, "both", ("algo=grpo", "algo=gapo_grpo"), ("tau=0.5", "tau=0.1"), noisy, seeds)
    return root


@pytest.fixture
def study(rehearsed, place) -> Path:
    """The working folder with a copy of those run folders; MLflow knows nothing of them yet."""
    shutil.copytree(rehearsed, place / "runs")
    return place
