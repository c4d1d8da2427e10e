"""The nodes of one run: one trains and is Ray's head, the others lend it their machine.

All of it belongs to one job: ports that Ray finds free, a temporary folder and a token of its own, and processes
that are ended by their pid. The nodes meet through a file in the shared run root, which the head removes at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gapo_lab import files
from gapo_lab.errors import RunFailed
from gapo_lab.launch.submission import Submission
from gapo_lab.run_folder import RunFolder
from gapo_lab.scratch import scratch_folder
from gapo_lab.supervise import adopt_orphans, end_descendants

MEETING = "GAPO_LAB_MEETING"
PATIENCE_SECONDS = 300.0


def rank() -> int:
    """0 for the node that trains; above 0 for those that help."""
    return int(os.environ.get("SLURM_PROCID", "0")) if count() > 1 else 0


def count() -> int:
    """Nodes of this SLURM job."""
    return int(os.environ.get("SLURM_JOB_NUM_NODES") or os.environ.get("SLURM_NNODES") or 1)


def meeting(submission: Submission) -> Path:
    """Where this life of this job meets; a requeued job meets elsewhere."""
    job, life = os.environ.get("SLURM_JOB_ID", "0"), os.environ.get("SLURM_RESTART_COUNT", "0")
    return submission.logs / f"ray-{job}-{life}.json"


@contextmanager
def invited(address: str, token: Path, nodes: int, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """The block runs with `nodes` nodes in the Ray cluster at `address`, which this process has started.

    RunFailed when they are not all there after `patience` seconds.
    """
    import ray

    path = Path(os.environ[MEETING])
    files.write_json(path, {"address": address, "token": token.read_text()})
    path.chmod(0o600)
    try:
        until = time.monotonic() + patience
        while (there := sum(node["Alive"] for node in ray.nodes())) < nodes:
            if time.monotonic() > until:
                raise RunFailed(
                    f"Ray did not come up on all nodes: {there} of {nodes} after {patience:.0f} s; see the logs of the "
                    f"other nodes in {path.parent}"
                )
            time.sleep(0.5)
        yield
    finally:
        path.unlink(missing_ok=True)


def help_rank_0(submission: Submission, task: int) -> None:
    """Join the head's Ray cluster and stay until it is done. RunFailed when the head never calls."""
    config = RunFolder(submission.root / submission.keys[task]).config()
    # longer than the head's own patience: who gives up first should be the one that writes the status
    path, patience = meeting(submission), 2 * config["cluster"]["ray_patience"] + 120
    until = time.monotonic() + patience
    while (call := files.read_json(path)) is None:
        if time.monotonic() > until:
            raise RunFailed(f"Ray did not come up: node 0 has not called in {patience:.0f} s")
        time.sleep(0.5)
    adopt_orphans()
    gpus = config["trainer"]["n_gpus_per_node"]
    with scratch_folder() as scratch:
        (scratch / "token").write_text(call["token"])
        words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        words += ["--address", call["address"], "--temp-dir", str(scratch)]
        if config["trainer"]["device"] == "cpu":
            words += [
                "--num-gpus",
                str(gpus),
                "--num-cpus",
                str(cpus(gpus)),
                "--object-store-memory",
                "500000000",
            ]
        helper = subprocess.Popen(
            words, env={**os.environ, **environment(config, scratch)}, start_new_session=True
        )
        print(f"node {rank()} joins {call['address']}, pid {helper.pid}", flush=True)
        try:
            while path.exists() and helper.poll() is None:
                time.sleep(0.5)
        finally:
            end_descendants()


def cpus(workers: int) -> int:
    """What Ray is told of a node's CPUs on a machine without GPUs: verl books three a worker."""
    return 3 * workers + 3


def environment(config: Mapping[str, Any], scratch: Path) -> dict[str, str]:
    """Variables for Ray on a helping node; the training ones come with Ray's runtime environment."""
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(scratch / "token"), "RAY_USAGE_STATS_ENABLED": "0",
                 "VERL_USE_EXTERNAL_MODULES": "gapo_lab.training.plugin", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
                 "RAY_prestart_worker_first_driver": "0", "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
    if config["trainer"]["device"] == "cpu":
        variables |= {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        variables["VERL_PLATFORM"] = "cpu"
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(config["trainer"]["n_gpus_per_node"])))
    return variables


def start_ray(patience: float = PATIENCE_SECONDS, **settings: Any) -> str:
    """Start this node's Ray as the head of a new cluster; its address. RunFailed where it does not come up.

    Ray itself gives up after 30 s, which a busy machine may need: it is then tried again until `patience` is over.
    """
    import ray

    until = time.monotonic() + patience
    while True:
        try:
            ray.init(**settings)
            return ray.get_runtime_context().gcs_address
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error) or time.monotonic() > until:
                raise RunFailed(f"Ray did not come up: {str(error).strip().splitlines()[0]}") from error
            print("Ray did not start within its 30 s: once more", flush=True)


@contextmanager
def in_time(folder: RunFolder, seconds: float) -> Iterator[None]:
    """The block must end within `seconds`: Ray waits in C++, where no exception reaches it, so the process ends."""

    def give_up() -> None:
        folder.write_status(state="failed", message=f"Ray did not come up in {seconds:.0f} s",
                            remedy="see the log for Ray's own words; the same command tries again")  # fmt: skip
        print(f"Ray did not come up in {seconds:.0f} s", flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
