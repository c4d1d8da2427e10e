"""How Ray is started: a cluster of the run's own, whatever the user's shell names."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from gapo_lab.errors import RunFailed
from gapo_lab.training.ray_cluster import start_ray


@pytest.fixture
def ray(monkeypatch):
    """Ray as `start_ray` sees it; `started` holds the address that each start found in the environment."""
    fake = SimpleNamespace(started=[], errors=[], shutdown=lambda: None)

    def init(**settings):
        fake.started.append(os.environ.get("RAY_ADDRESS"))
        if fake.errors:
            raise fake.errors.pop(0)

    fake.init = init
    fake.get_runtime_context = lambda: SimpleNamespace(gcs_address="here:1")
    monkeypatch.setitem(sys.modules, "ray", fake)
    return fake


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "auto", "10.0.0.1:6379"])
def test_a_cluster_that_the_shell_names_is_not_joined(ray, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert start_ray() == "here:1" and ray.started == [None]


def test_a_start_that_was_too_slow_is_tried_again_and_another_error_is_not(ray):
    ray.errors = [RuntimeError("timed out during startup")]
    assert start_ray() == "here:1" and len(ray.started) == 2
    ray.errors = [ValueError("no such setting")]
    with pytest.raises(RunFailed, match="Ray did not come up: no such setting"):
        start_ray()
    ray.errors = [RuntimeError("timed out during startup")]
    with pytest.raises(RunFailed, match="timed out"):
        start_ray(patience=-1)
