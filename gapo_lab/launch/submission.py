"""One submission: the runs that were handed over together, written down before anything is started.

`runs/.submissions/<name>.json` lists the run keys in the order of the array tasks. The script of its SLURM job lies in
`runs/.submissions/<name>/`, so that a job is found again also when its submitter died before it could write its number
down. The job itself has the name of the study.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.runs.provenance import Origin
from gapo_lab.utils import atomic_files

FOLDER = ".submissions"


@dataclass(frozen=True)
class Submission:
    """``root``: the folder of the run folders. ``keys[i]`` is array task i. ``origin``: of the runs.

    ``comment``: what its job computes, for squeue.
    """

    name: str
    root: Path
    keys: tuple[str, ...]
    cluster: ClusterConfig
    code: Path
    time: float = 0.0
    job: str | None = None
    on_finish: str | None = None
    study: str = ""
    origin: Origin = field(default_factory=Origin)
    by: str = ""
    comment: str = ""

    @classmethod
    def new(cls, root: Path, keys: Sequence[str], **fields: Any) -> Submission:
        name = f"gapo-{secrets.token_hex(4)}"
        by = f"pid {os.getpid()} on {os.uname().nodename}"
        return cls(name, Path(root).absolute(), tuple(keys), time=time.time(), by=by, **fields)

    @classmethod
    def read(cls, path: Path) -> Submission:
        raw = atomic_files.read_json(path)
        paths = {name: Path(raw[name]) for name in ("root", "code")}
        typed = {
            "cluster": ClusterConfig.from_json(raw["cluster"]),
            "origin": Origin.from_json(raw.get("origin") or {}),
        }
        return cls(**{**raw, **paths, **typed, "keys": tuple(raw["keys"])})

    @property
    def path(self) -> Path:
        return self.root / FOLDER / f"{self.name}.json"

    @property
    def logs(self) -> Path:
        """Folder for the jobs' stdout and stderr."""
        return self.root / FOLDER / self.name

    def write(self) -> None:
        atomic_files.make_folder(self.logs)
        atomic_files.write_json(self.path, {**asdict(self), "origin": self.origin.to_json()})
