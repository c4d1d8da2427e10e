"""The nodes of one run: one trains and is Ray's head, the others lend it their machine.

All of it belongs to one job: ports that Ray finds free, a temporary folder and a token of its own, and processes
that are ended by their pid. The nodes meet through a file in the shared run root, which the head removes at the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gapo_lab.errors import RunFailed
from gapo_lab.launch.submission import Submission
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.ray_cluster import environment
from gapo_lab.training.vllm_rollout import metadata
from gapo_lab.utils import atomic_files, gpu_variables
from gapo_lab.utils.processes import adopt_orphans, end_descendants
from gapo_lab.utils.ray_cpus import cpus
from gapo_lab.utils.scratch import scratch_folder

POLL_SECONDS = 0.5


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


def help_rank_0(submission: Submission, task: int) -> None:
    """Join the head's Ray cluster and stay until it is done. RunFailed when the head never calls."""
    # SLURM's warning goes to every process of the job: rank 0 acts on it, and Ray here must outlive it
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    config = RunFolder(submission.root / submission.keys[task]).config()
    # longer than the head's own patience: who gives up first should be the one that writes the status
    path, patience = meeting(submission), 2 * config["cluster"]["ray_patience"] + 120
    until = time.monotonic() + patience
    while (call := atomic_files.read_json(path)) is None:
        if time.monotonic() > until:
            raise RunFailed(f"Ray did not come up: node 0 has not answered within {patience:.0f} s")
        time.sleep(POLL_SECONDS)
    adopt_orphans()
    gpus = config["trainer"]["n_gpus_per_node"]
    with scratch_folder() as scratch:
        (scratch / "token").write_text(call["token"])
        metadata.write(metadata.folder_of(scratch))
        words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        words += ["--address", call["address"], "--temp-dir", str(scratch), "--num-cpus", str(cpus(gpus))]
        if config["trainer"]["device"] == "cpu":
            words += ["--num-gpus", str(gpus), "--object-store-memory", "500000000"]
        gpu_variables.keep_one(os.environ)
        print(f"node {rank()} joins {call['address']}", flush=True)
        help_until_gone(path, words, {**os.environ, **environment(config, scratch)}, config["cluster"]["ray_patience"])


def help_until_gone(path: Path, words: list[str], environment: dict[str, str], patience: float) -> None:
    """Run the program ``words`` until the file ``path`` is gone, then end it and all that it has started.

    A program that ends before is started again within the first ``patience`` seconds: Ray gives up joining after 30 s,
    which a busy machine may need, as a file system from which all nodes read Ray at once.
    """
    until = time.monotonic() + patience
    try:
        while path.exists():
            program = subprocess.Popen(words, env=environment, start_new_session=True)
            while path.exists() and program.poll() is None:
                time.sleep(POLL_SECONDS)
            end_descendants()
            if time.monotonic() > until:
                return
            if path.exists():
                print("Ray did not join within its 30 s: once more", flush=True)
    finally:
        end_descendants()
