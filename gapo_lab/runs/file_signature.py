"""What tells whether a file is still the one that was read: its times, size and inode."""

from __future__ import annotations

import os
from pathlib import Path

# Modification and change in nanoseconds, bytes, inode; JSON gives it back as it was. [] where there is no file.
Signature = list[int]
ABSENT: Signature = []

# Seconds that a file must have been left alone before its signature speaks for its content: a change within one tick of
# the clock leaves no trace, and clients of a shared file system show what was there up to two minutes ago.
SETTLED_HERE, SETTLED_ELSEWHERE = 2.0, 120.0
LOCAL_FILE_SYSTEMS = frozenset(["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"])


def of(path: str | Path) -> Signature:
    """Return the signature of what is there now. OSError where nobody can say."""
    try:
        about = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    return [about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino]


def changed(signature: Signature) -> float:
    """Return when what has this signature was changed last (Unix seconds of its file system)."""
    return max(signature[0], signature[1]) / 1e9 if signature else 0.0


def settling_seconds(root: Path) -> float:
    """Return how long a file below ``root`` must have been left alone."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        number = os.stat(root).st_dev
    except OSError:
        return SETTLED_ELSEWHERE
    device = f"{os.major(number)}:{os.minor(number)}"
    kinds = {line.partition(" - ")[2].split(" ")[0] for line in mounts.splitlines() if line.split(" ")[2:3] == [device]}
    return SETTLED_HERE if kinds and kinds <= LOCAL_FILE_SYSTEMS else SETTLED_ELSEWHERE
