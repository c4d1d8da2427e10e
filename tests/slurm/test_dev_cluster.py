"""`slurm/dev-cluster` by itself: what it has started ends with it."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from lab import REPO

# Deaf to the signal that asks a job to end, so that its steps are still at it when the daemons are gone.
JOB = """#!/bin/bash
trap '' TERM
srun bash -c 'trap "" TERM; while :; do sleep 1; done'
"""


@pytest.fixture
def own_cluster(tmp_path):
    """A cluster of this test's own, not yet up: a function that runs `slurm/dev-cluster WORD`, and its folder."""
    folder = Path(tempfile.mkdtemp(prefix="gapo-test-down-"))  # other users, such as munge's, must get in
    folder.chmod(0o755)
    env = {**os.environ, "GAPO_LAB_DEV_CLUSTER": str(folder), "GAPO_LAB_DEV_PORT": str(free_ports(16))}

    def dev_cluster(word: str) -> str:
        with open(tmp_path / "out", "wb") as out:  # a daemon would keep a pipe open
            subprocess.run(
                [REPO / "slurm" / "dev-cluster", word],
                env=env,
                stdin=subprocess.DEVNULL,
                check=False,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=300,
            )
        return (tmp_path / "out").read_text()

    if missing := dev_cluster("check").strip():
        pytest.skip(f"no SLURM here: {missing}")
    yield dev_cluster, folder
    dev_cluster("down")
    for process in that_carry(str(folder)):
        process.kill()


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    while True:
        first = random.randrange(11000, 30000)
        with suppress(OSError), ExitStack() as held:
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def that_carry(text: str) -> list[psutil.Process]:
    """The processes with this text in their environment or command line; read raw: a step's title overwrites both."""
    found = []
    for process in psutil.process_iter():
        with suppress(OSError):
            proc = Path(f"/proc/{process.pid}")
            if text.encode() in (proc / "environ").read_bytes() + (proc / "cmdline").read_bytes():
                found.append(process)
    return found


def test_down_right_after_a_cancel_leaves_no_process(own_cluster):
    """Job steps whose daemons are gone would ask for them for minutes; a shell that uses the cluster is left alone."""
    dev_cluster, folder = own_cluster
    said = dev_cluster("up")
    env = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    assert f"export SLURM_CONF={env['SLURM_CONF']}" in said

    def slurm(*words: str, **more: str) -> str:
        return subprocess.run(words, env=env, check=True, capture_output=True, text=True, timeout=60, **more).stdout

    for _ in range(4):
        slurm("sbatch", "--mem=100", "--output=/dev/null", input=JOB)
    end = time.monotonic() + 120
    while slurm("squeue", "--noheader", "--steps", "--format=%i").count(".0") < 4:
        assert time.monotonic() < end, slurm("squeue", "--steps")
        time.sleep(0.2)

    with subprocess.Popen(["sleep", "600"], env=env, cwd=folder / "log") as shell:
        try:
            slurm("scancel", f"--user={os.getuid()}")
            dev_cluster("down")
            left = [process for process in that_carry(str(folder)) if process.pid != shell.pid]
            assert not left, left
            assert shell.poll() is None
        finally:
            shell.kill()
    assert not folder.exists()
