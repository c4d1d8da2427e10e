"""Where a result comes from: the code, the packages, the machine, the command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gapo_lab.utils.machine import cores, gpus

MAX_DIFF = 1_000_000  # characters of the diff that are kept
SLURM = (
    "SLURM_CLUSTER_NAME",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_PARTITION",
    "SLURM_RESTART_COUNT",
)


def collect(repo: Path) -> dict[str, Any]:
    """Everything that says how a run came about, ready for JSON."""
    return origin(repo) | machine()


def origin(repo: Path) -> dict[str, Any]:
    """What is known where a run is submitted: the time, the command, the code.

    ``git`` has ``commit``, ``dirty``, ``diff`` (against the commit), ``untracked`` (names), or ``missing``
    with the reason where ``repo`` is no git checkout.
    """
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [sys.executable, *sys.argv],
        "folder": str(Path.cwd()),
        "git": git(repo),
    }


def machine() -> dict[str, Any]:
    """What is known where a run happens. Packages are read from their metadata: none is imported."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": cores(),
        "gpus": gpus(),
        "slurm": {name: os.environ[name] for name in SLURM if name in os.environ},
        "packages": packages(),
    }


def git(repo: Path) -> dict[str, Any]:
    """The commit ``repo`` is at, and what differs from it. A folder inside someone else's checkout has none."""
    try:
        commit = _git(repo, "rev-parse", "HEAD").strip()
        if not _git(repo, "ls-files", "-z", "--", "."):
            return {"missing": f"{repo} is not part of the git checkout that it lies in (installed there?)"}
        diff = _git(repo, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
        untracked = _git(repo, "ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1]
    except FileNotFoundError:
        return {"missing": "git is not installed"}
    except NotADirectoryError:
        return {"missing": f"{repo} is no folder"}
    except subprocess.CalledProcessError as error:
        return {"missing": (error.stderr or "git failed").strip().splitlines()[0]}
    return {
        "commit": commit,
        "dirty": bool(diff or untracked),
        "diff": diff[:MAX_DIFF],
        "diff_cut": len(diff) > MAX_DIFF,
        "untracked": untracked,
    }


def _git(repo: Path, *words: str) -> str:
    # No optional locks: several runs that start at once must not wait for one another's index refresh.
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(repo), *words],
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    ).stdout


def packages() -> dict[str, str]:
    """Name and version of every installed package, by name."""
    found = ((dist.metadata["Name"], dist.version) for dist in importlib.metadata.distributions())
    return dict(sorted(((name, version) for name, version in found if name), key=lambda pair: pair[0].lower()))
