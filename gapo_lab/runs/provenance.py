"""Where a result comes from: the code, the packages, the machine, the command."""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gapo_lab import __version__
from gapo_lab.paths import PACKAGE
from gapo_lab.utils.machine import cores, gpus

if TYPE_CHECKING:
    from importlib.metadata import Distribution

HEADER = re.compile(r"^(Name|Version): *(.*?) *$", re.MULTILINE)
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


@dataclass(frozen=True)
class Code:
    """The commit that the code is at, and what differs from it. ``missing``: why there is none; ``package``: what the
    code is then, `gapo_lab 0.1.0`."""

    commit: str = ""
    dirty: bool = False
    diff: str = ""
    diff_cut: bool = False
    untracked: tuple[str, ...] = ()
    missing: str = ""
    package: str = ""

    def to_json(self) -> dict[str, Any]:
        of_none = ("missing", "package")
        return {name: value for name, value in asdict(self).items() if (name in of_none) == bool(self.missing)}


@dataclass(frozen=True)
class Origin:
    """What is known where a run is submitted."""

    time: str = ""
    command: tuple[str, ...] = ()
    folder: str = ""
    git: Code = field(default_factory=Code)

    @classmethod
    def here(cls, repo: Path) -> Self:
        """Return this moment, this command, and the code in ``repo``."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(now, (sys.executable, *sys.argv), str(Path.cwd()), code_of(repo))

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        git = _known(Code, raw.get("git") or {})
        return cls(**{**_known(cls, raw), "git": Code(**git)})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "git": self.git.to_json()}


@dataclass(frozen=True)
class Machine:
    """What is known where a run happens. ``packages``: the version of every installed one."""

    python: str = ""
    platform: str = ""
    host: str = ""
    cpus: int = 0
    gpus: tuple[str, ...] = ()
    slurm: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Self:
        """Return this machine. Packages are read from their metadata: none is imported."""
        return cls(
            python=platform.python_version(),
            platform=platform.platform(),
            host=socket.gethostname(),
            cpus=cores(),
            gpus=tuple(gpus()),
            slurm={name: os.environ[name] for name in SLURM if name in os.environ},
            packages=packages(),
        )


@dataclass(frozen=True)
class Provenance:
    """Everything that says how a run came about: a run folder's provenance.json."""

    origin: Origin = field(default_factory=Origin)
    machine: Machine = field(default_factory=Machine)

    @property
    def package(self) -> str:
        """The package that the code was installed from, `gapo_lab 0.1.0`; '' where its commit is known, or neither."""
        git, version = self.origin.git, self.machine.packages.get("gapo-lab")
        # older versions wrote it among all packages alone
        return "" if git.commit else git.package or (f"{PACKAGE.name} {version}" if version else "")

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read plain values. What is not there is empty; what another version has beside ours is left out."""
        return cls(Origin.from_json(raw), Machine(**_known(Machine, raw)))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self.machine), **self.origin.to_json()}


def code_of(repo: Path) -> Code:
    """Return the commit ``repo`` is at, and what differs from it. A folder inside someone else's checkout has none."""
    package = f"{PACKAGE.name} {__version__}"
    try:
        commit = _git(repo, "rev-parse", "HEAD").strip()
        if not _git(repo, "ls-files", "-z", "--", "."):
            return Code(
                missing=f"{repo} is not part of the git checkout that it lies in (installed there?)", package=package
            )
        diff = _git(repo, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
        untracked = _git(repo, "ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1]
    except FileNotFoundError:
        return Code(missing="git is not installed", package=package)
    except NotADirectoryError:
        return Code(missing=f"{repo} is no folder", package=package)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().partition("\n")[0]
        return Code(missing=said or "git failed", package=package)
    return Code(commit, bool(diff or untracked), diff[:MAX_DIFF], len(diff) > MAX_DIFF, tuple(untracked))


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
    from importlib.metadata import distributions

    found = [_name_and_version(dist) for dist in distributions()]
    return dict(sorted(((name, version) for name, version in found if name), key=lambda pair: pair[0].lower()))


def _name_and_version(dist: Distribution) -> tuple[str, str]:
    """Two lines of a package's metadata. Python's own way reads each file twice, as an e-mail: half a second in all."""
    text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or dist.read_text("") or ""
    lines = HEADER.findall(text.partition("\n\n")[0])
    said = dict(reversed(lines))  # the first of a kind counts
    return said.get("Name", ""), said.get("Version", "")


def _known(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass that are in ``raw``; lists as tuples."""
    names = {one.name for one in fields(kind)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in raw.items() if name in names}
