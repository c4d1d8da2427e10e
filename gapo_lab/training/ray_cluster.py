"""Ray for one run: its own cluster, ports and folder, ended with the run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gapo_lab.errors import RunFailed
from gapo_lab.runs.failure import REMEDIES
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import Cause, State
from gapo_lab.training import collective_timeout
from gapo_lab.training.vllm_rollout import metadata
from gapo_lab.utils import atomic_files
from gapo_lab.utils.machine import cores
from gapo_lab.utils.ray_cpus import cpus
from gapo_lab.utils.scratch import MARK
from gapo_lab.utils.text import first_line, several


@contextmanager
def cluster(
    config: DictConfig, py_executable: str | None, folder: Path, say: Callable[[str], None] = lambda text: None
) -> Iterator[None]:
    """Yield a Ray cluster for the time of the block: this node, and those of the job that help it.

    config: verl's, whose `ray_kwargs.ray_init` wins over what is chosen here.
    py_executable: what starts Ray's workers (`fork_server.command`); None is this Python.
    folder: Ray's own folder; short, because it holds Unix sockets.
    say: is told where Ray takes longer than it should.
    """
    import ray
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

    here, nodes = config.trainer.n_gpus_per_node, config.trainer.nnodes
    runtime_env = get_ppo_ray_runtime_env(config)
    runtime_env["env_vars"].update(TRANSFER_QUEUE_ENABLE="1", TOKENIZERS_PARALLELISM="false")
    if py_executable:
        runtime_env["py_executable"] = py_executable
    wanted = {
        "include_dashboard": False,
        "log_to_driver": True,
        "runtime_env": runtime_env,
        "_temp_dir": str(folder),
        # verl books CPUs by number, whatever the job has: `utils/ray_cpus.py`
        "num_cpus": cpus(here),
    }
    if config.trainer.device == "cpu":
        wanted.update(num_gpus=here, object_store_memory=500_000_000)
    asked = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)
    patience = OmegaConf.select(config, "cluster.ray_patience", default=PATIENCE_SECONDS)
    with light_workers():
        address = start_ray(patience, say, **_merged(wanted, asked))
    try:
        if nodes == 1:
            yield
        else:
            with invited(address, folder / "token", nodes, patience):
                yield
    finally:
        ray.shutdown()


def _merged(chosen: dict, asked: dict) -> dict:
    """`asked` over `chosen`, node by node; a null asks for nothing."""
    out = dict(chosen)
    for key, value in asked.items():
        if isinstance(value, dict):
            out[key] = _merged(out.get(key) or {}, value)
        elif value is not None:
            out[key] = value
    return out


MEETING = "GAPO_LAB_MEETING"
# Where a shell names another cluster, as verl's own scripts do: Ray would join that one instead of starting ours.
ADDRESS = "RAY_ADDRESS"
PATIENCE_SECONDS = 300.0


@contextmanager
def invited(address: str, token: Path, nodes: int, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Run the block with `nodes` nodes in the Ray cluster at `address`, which this process has started.

    RunFailed when they are not all there after `patience` seconds.
    """
    import ray

    path = Path(os.environ[MEETING])
    atomic_files.write_json(path, {"address": address, "token": token.read_text()})
    path.chmod(0o600)
    try:
        until = time.monotonic() + patience
        while (there := sum(node["Alive"] for node in ray.nodes())) < nodes:
            if time.monotonic() > until:
                raise RunFailed(
                    f"Ray did not come up on all nodes: {there} of {nodes} after {patience:.0f} s. See the logs of the "
                    f"other nodes in {path.parent}"
                )
            time.sleep(0.5)
        yield
    finally:
        path.unlink(missing_ok=True)


def environment(config: Mapping[str, Any], scratch: Path) -> dict[str, str]:
    """Variables for Ray on a helping node; the training ones come with Ray's runtime environment."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(scratch / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "VERL_USE_EXTERNAL_MODULES": "gapo_lab.training.verl_plugin",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_prestart_worker_first_driver": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_worker_niceness": "0",
        "VLLM_NO_USAGE_STATS": "1",
        MARK: str(scratch),
    }
    if limit := config["backend"].get("collective_timeout"):
        variables[collective_timeout.VARIABLE] = str(limit)
    if config["backend"]["name"] != "cpu":
        here = [str(metadata.folder_of(scratch)), os.environ.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, here))
    if config["trainer"]["device"] == "cpu":
        variables |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        variables["VERL_PLATFORM"] = "cpu"
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(config["trainer"]["n_gpus_per_node"])))
    return variables


def start_ray(
    patience: float = PATIENCE_SECONDS, say: Callable[[str], None] = lambda text: None, **settings: Any
) -> str:
    """Start this node's Ray as the head of a new cluster; its address. RunFailed where it does not come up.

    Ray itself gives up after 30 s, which a busy machine may need: it is then tried again until `patience` is over.
    """
    import ray

    os.environ.pop(ADDRESS, None)
    until = time.monotonic() + patience
    while True:
        try:
            with only_what_a_run_needs(bool(settings.get("include_dashboard"))):
                ray.init(**settings)
            return ray.get_runtime_context().gcs_address
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error) or time.monotonic() > until:
                raise RunFailed(f"Ray did not come up ({load()}): {first_line(error, 500)}") from error
            text = f"starting Ray: it was not up within its 30 s, once more ({load()})"
            print(text, flush=True)
            say(text)


def load() -> str:
    """Return how busy this machine is: `load 41 on 2 cores`."""
    return f"load {os.getloadavg()[0]:.0f} on {several(cores(), 'core')}"


@contextmanager
def only_what_a_run_needs(dashboard: bool) -> Iterator[None]:
    """Let a Ray that is started in the block do without the autoscaler's monitor, which has nothing to scale here, and,
    where there is no dashboard, without its server: each imports Ray once more, and then polls."""
    from ray._private.node import Node

    theirs = Node.start_monitor, Node.start_api_server

    def without(self: Any, **_: Any) -> None:
        self._webui_url = ""

    Node.start_monitor = lambda self: None
    if not dashboard:
        Node.start_api_server = without
    try:
        yield
    finally:
        Node.start_monitor, Node.start_api_server = theirs


@contextmanager
def light_workers() -> Iterator[None]:
    """Let a Ray that is started in the block start its workers by our setup_worker.py: its own imports Ray in each."""
    from ray._private import ray_constants

    theirs = ray_constants.SETUP_WORKER_FILENAME
    ray_constants.SETUP_WORKER_FILENAME = str(Path(__file__).with_name("setup_worker.py"))
    try:
        yield
    finally:
        ray_constants.SETUP_WORKER_FILENAME = theirs


@contextmanager
def in_time(folder: RunFolder | None, seconds: float) -> Iterator[None]:
    """End the process unless the block ends within `seconds`: Ray waits in C++, where no exception reaches it.

    folder: of the run that has failed then; None while nobody waits for one.
    """

    def give_up() -> None:
        if folder:
            folder.write_status(
                state=State.FAILED,
                message=f"Ray did not come up in {seconds:.0f} s ({load()})",
                cause=Cause.NO_RAY,
                remedy=REMEDIES[Cause.NO_RAY],
            )
        print(f"Ray did not come up in {seconds:.0f} s ({load()})", flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
