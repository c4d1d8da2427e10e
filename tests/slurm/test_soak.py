"""Many short jobs on the one-machine cluster while jobs, node daemons, the controller and the submitter are killed.

24 by default, twice as many as run at a time; `GAPO_LAB_SOAK=200 pytest tests/slurm/test_soak.py` takes as many minutes
as CI has.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter

import psutil
import pytest
from slurm_lab import FOLDER, LARGEST_ARRAY, SlurmLab, dev_cluster, undisturbed

from gapo_lab.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("cluster")
RUNS = int(os.environ.get("GAPO_LAB_SOAK", "24"))
WORDS = (
    "study=soak",
    "rehearsal.steps=3",
    "rehearsal.seconds=0.1",
    "algo=grpo,gapo_grpo",
    f"seed=range({RUNS // 2})",
    "cluster.cpus=4",
    "cluster.max_parallel=12",
)


def test_every_run_is_finished_once_and_nothing_is_lost(tmp_path):
    lab, pick = SlurmLab(tmp_path), random.Random(0)
    submitter = lab.start_sweep(*WORDS)
    time.sleep(pick.uniform(1, 4))
    submitter.kill()
    submitter.communicate()
    end = time.monotonic() + 1500
    while True:
        assert time.monotonic() < end, Counter(s.state for s in lab.states("soak").values())
        done = lab.sweep(*WORDS)
        assert done.returncode == 0, done.stdout + done.stderr
        for _ in range(6):
            disturb(lab, pick)
            time.sleep(2)
        found = lab.until(
            "soak",
            lambda s: operate(lab) or not any(v.state in ("queued", "running") for v in s.values()),
            900,
        )
        if len(found) == RUNS and all(status.state == "finished" for status in found.values()):
            break
    folders = [RunFolder(lab.root / key) for key in lab.keys("soak")]
    assert all(undisturbed(folder, folder.spec["seed"], 3) for folder in folders)
    # more than MaxArraySize allows: cut into arrays
    arrays = [json.loads(path.read_text())["keys"] for path in lab.root.glob(".submissions/*.json")]
    assert max(map(len, arrays)) == LARGEST_ARRAY < RUNS
    # finished once: no attempt came after the one that finished the run
    for folder in folders:
        assert folder.attempts()[-1].number == folder.status().attempt
    # a finished run that was requeued ends at once; what SLURM still believes to run has lost its srun and its daemon
    end = time.monotonic() + 300
    while left := lab.slurm("squeue", "-h").strip():
        assert time.monotonic() < end, left
        operate(lab)
        if time.monotonic() > end - 240 and not jobs_of(lab):
            lab.slurm("scancel", *(line.split()[0] for line in left.splitlines()))
        time.sleep(1)
    assert all(undisturbed(folder, folder.spec["seed"], 3) for folder in folders)


def disturb(lab: SlurmLab, pick: random.Random) -> None:
    """Kill something at random."""
    what = pick.choice(["job", "job", "supervisor", "requeue", "slurmd", "slurmctld"])
    if what == "slurmctld":
        dev_cluster("kill", "slurmctld")
        revive("slurmctld")
    elif what == "slurmd":
        node = pick.choice(["slurmd-n1", "slurmd-n2", "slurmd-n3"])
        dev_cluster("kill", node)
        revive(node)
    elif what == "requeue":
        running = lab.slurm("squeue", "-h", "-t", "R", "-o", "%A_%a").split()
        if running:
            lab.slurm("scontrol", "requeue", pick.choice(running))
    else:
        if found := jobs_of(lab, "gapo_lab.training.job" if what == "job" else "submitit.core._submit"):
            pick.choice(found).kill()


def jobs_of(lab: SlurmLab, word: str = "submitit.core._submit") -> list[psutil.Process]:
    """The processes of the cluster's jobs that have this word on their command line."""
    found = [p for p in psutil.process_iter(["cmdline", "cwd"]) if word in (p.info["cmdline"] or [])]
    return [p for p in found if p.info["cwd"] == str(lab.cwd)]


def operate(lab: SlurmLab) -> None:
    """Start daemons that died; release a job that SLURM holds because its node's daemon died as it was started;
    take back nodes that SLURM drained because a controller that was killed before it saved its state has given a job
    number twice."""
    for daemon in ("slurmctld", "slurmd-n1", "slurmd-n2", "slurmd-n3"):
        revive(daemon)
    lines = lab.slurm("squeue", "-h", "-t", "PD", "-o", "%A %r").splitlines()
    if held := sorted({line.split()[0] for line in lines if "held" in line.lower()}):
        lab.slurm("scontrol", "release", *held)
    if drained := [
        n
        for n, state in map(str.split, lab.slurm("sinfo", "-hN", "-p", "main", "-o", "%N %T").splitlines())
        if state.startswith("drain")
    ]:
        lab.slurm("scontrol", "update", f"nodename={','.join(drained)}", "state=resume")


def revive(daemon: str) -> None:
    """Start a daemon that does not live."""
    pid = FOLDER / f"{daemon}.pid"
    try:
        if pid.read_text().strip() and psutil.pid_exists(int(pid.read_text())):
            return
    except (FileNotFoundError, ValueError):
        pass
    dev_cluster("start", daemon)
