"""How Ray is started: a cluster of the run's own, whatever the user's shell names."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from gapo_lab.errors import RunFailed
from gapo_lab.training import ray_cluster
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
    monkeypatch.setattr(ray_cluster, "only_what_a_run_needs", lambda dashboard: nullcontext())
    return fake


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "auto", "10.0.0.1:6379"])
def test_a_cluster_that_the_shell_names_is_not_joined(ray, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert start_ray() == "here:1" and ray.started == [None]


def test_a_start_that_was_too_slow_is_tried_again_and_another_error_is_not(ray):
    said = []
    ray.errors = [RuntimeError("timed out during startup")]
    assert start_ray(say=said.append) == "here:1" and len(ray.started) == 2
    assert re.fullmatch(r"starting Ray: .* once more \(load \d+ on \d+ cores?\)", *said)
    ray.errors = [ValueError("no such setting")]
    with pytest.raises(RunFailed, match=r"Ray did not come up \(load \d+ on \d+ cores?\): no such setting"):
        start_ray()
    ray.errors = [RuntimeError("timed out during startup")]
    with pytest.raises(RunFailed, match="timed out"):
        start_ray(patience=-1)


CONTEXT = {
    "env_vars": {"HERE": "x${HOME}y", "NOWHERE": "${NOT_SET_1}z", "PLAIN": "$HOME"},
    "py_executable": f"{sys.executable} -c 'import json, os, sys; print(json.dumps([sys.argv, dict(os.environ)]))'",
}


@pytest.mark.slow
@pytest.mark.parametrize("context", [CONTEXT, CONTEXT | {"command_prefix": ["A=1 &&"]}, {"env_vars": {"A": "b"}}, {}])
def test_our_setup_of_a_worker_does_what_rays_does(tmp_path, context):
    """Also with a prefix, which ours leaves to Ray's."""
    ray = Path(find_spec("ray").submodule_search_locations[0])
    ours, theirs = Path(ray_cluster.__file__).with_name("setup_worker.py"), ray / "_private/workers/setup_worker.py"
    (tmp_path / "workers").mkdir()
    shutil.copy(theirs, tmp_path / "workers")
    worker = tmp_path / "workers" / "default_worker.py"
    worker.write_text("import json, os, sys; print(json.dumps([sys.argv, dict(os.environ)]))")
    words = [worker, "--a=b c", "--redis-password=", "--language=PYTHON"]
    said = [
        subprocess.run(
            [sys.executable, script, *words, f"--serialized-runtime-env-context={json.dumps(context)}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for script in (ours, theirs)
    ]
    (argv, env), (their_argv, their_env) = map(json.loads, said)
    shells = {"SHLVL", "_"}
    assert argv == their_argv
    assert {k: v for k, v in env.items() if k not in shells} == {k: v for k, v in their_env.items() if k not in shells}


@pytest.mark.slow
def test_ray_starts_workers_by_the_script_that_we_name():
    from ray._private import node, ray_constants

    with ray_cluster.light_workers():
        assert Path(ray_constants.SETUP_WORKER_FILENAME).samefile(
            Path(ray_cluster.__file__).with_name("setup_worker.py")
        )
    assert ray_constants.SETUP_WORKER_FILENAME == "setup_worker.py"
    source = inspect.getsource(node.Node.__init__)
    assert re.search(r"setup_worker_path=os.path.join\([^=]*ray_constants.SETUP_WORKER_FILENAME", source)


def test_ray_starts_what_a_run_needs_by_these_names():
    """Private names of Ray's; test_dev_cluster and the trained runs see that it comes up without them."""
    from ray._private import node

    theirs = node.Node.start_monitor, node.Node.start_api_server
    source = inspect.getsource(node.Node.start_head_processes)
    assert "self.start_monitor()" in source and "self.start_api_server(" in source
    assert "self._webui_url" in inspect.getsource(node.Node.start_api_server)
    with ray_cluster.only_what_a_run_needs(dashboard=False):
        assert node.Node.start_monitor is not theirs[0] and node.Node.start_api_server is not theirs[1]
    with ray_cluster.only_what_a_run_needs(dashboard=True):
        assert node.Node.start_api_server is theirs[1]
    assert (node.Node.start_monitor, node.Node.start_api_server) == theirs
