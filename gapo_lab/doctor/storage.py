"""Whether the folder of the run folders can be written, is seen by all nodes, and has room for the checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from gapo_lab.doctor.finding import Finding, ok, unseen, wrong
from gapo_lab.doctor.machine import write_error
from gapo_lab.utils.text import file_size

# File systems that several machines see. Others may be mounted everywhere all the same.
SHARED = (
    *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "fuse.ceph", "cifs", "smb3", "glusterfs", "fuse.glusterfs"),
    *("panfs", "wekafs", "orangefs", "pvfs2", "afs", "fuse.sshfs", "fuse.juicefs"),
)
# Beside the checkpoints: metrics, logs and generations of all runs.
SPARE = 1e9


# Pure


def check_root(root: Path, error: str | None) -> Finding:
    """error: why nothing can be written there."""
    if error is not None:
        return wrong("run root", f"{root}: {error}", "Set run_root=FOLDER to one that can be written")
    return ok("run root", f"{root} can be written")


def check_shared(root: Path, file_system: str) -> Finding:
    """Of a run root that nodes must see: whether its file system is one of those that machines share."""
    if file_system in SHARED:
        return ok("shared", f"{root} is on {file_system}, which nodes share")
    return unseen("shared", f"{root} is on {file_system}: whether the nodes see it, only they can say")


def check_disk(root: Path, free: float, need: float) -> Finding:
    """free, need: bytes; need is of all runs that will be started, at the most at once."""
    has = f"{file_size(free)} free at {root}"
    if need + SPARE > free:
        return wrong(
            "disk",
            f"{has}; checkpoints of all runs take up to {file_size(need)}",
            "Free some, set run_root=FOLDER on a larger disk, keep less (keep=none), or run fewer at a time "
            "(cluster.max_parallel)",
        )
    if need > 0:
        return ok("disk", f"{has}, checkpoints take up to {file_size(need)} (quotas are not seen)")
    return ok("disk", has)


def check_seen(root: Path, node: str, is_seen: bool) -> Finding:
    """Whether the node found what was written below the root before its job was submitted."""
    if is_seen:
        return ok("shared", f"{node} sees {root}")
    return wrong("shared", f"{node} does not see {root}", "Set run_root=FOLDER on a file system that all nodes share")


# What is looked at


def look(root: Path, need: float, is_cluster: bool) -> Iterator[Finding]:
    """Yield the findings about a run root, which need not be there yet."""
    root = Path(root).absolute()
    there = next(folder for folder in (root, *root.parents) if folder.is_dir())
    yield check_root(root, write_error(there))
    if is_cluster:
        yield check_shared(root, file_system(there))
    yield check_disk(root, shutil.disk_usage(there).free, need)


def file_system(folder: Path) -> str:
    """Return the kind of file system that a folder lies on: `nfs4`, `ext4`; `an unknown file system`."""
    real = folder.resolve()
    mounts = [one for one in psutil.disk_partitions(all=True) if real.is_relative_to(one.mountpoint)]
    return max(mounts, key=lambda one: len(one.mountpoint)).fstype if mounts else "an unknown file system"


def remember(folder: Path, word: str) -> None:
    """Write a word that a node must read again."""
    (folder / "word").write_text(word, encoding="utf-8")


def recalls(folder: Path, word: str) -> bool:
    """Whether the word that was written on another machine is read here."""
    try:
        return (folder / "word").read_text(encoding="utf-8") == word
    except OSError:
        return False
