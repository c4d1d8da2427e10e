"""The code as it was at submission: a copy that the jobs run, however long they wait in the queue."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.paths import PACKAGE
from gapo_lab.utils import atomic_files

SKIPPED = ("__pycache__",)


def folder(root: Path) -> Path:
    """Return the folder under `root` for this package as it is now, whether it is there or not."""
    found = sorted(p for p in PACKAGE.rglob("*") if p.is_file() and not set(p.parts) & set(SKIPPED))
    sha = hashlib.sha256()
    for path in found:
        sha.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return Path(root).absolute() / ".code" / sha.hexdigest()[:12]


def take(root: Path) -> Path:
    """Return the folder under `root` that holds this package as it is now; made if there is none with this content."""
    there = folder(root)
    if there.is_dir():
        return there
    atomic_files.make_folder(there.parent)
    with atomic_files.writing(there):
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=there.parent))
        try:
            shutil.copytree(PACKAGE, aside / PACKAGE.name, ignore=shutil.ignore_patterns(*SKIPPED))
            os.chmod(aside, 0o755)
            os.rename(aside, there)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(error, shutil.Error):  # a list of (from, to, reason)
                why = str(error.args[0][0][2]).partition(": ")[0]
                raise UserError(
                    f"cannot copy the code to {there.parent}: {why}. Free some space or choose another run_root"
                ) from error
            if not there.is_dir():  # someone else has just made the same
                raise
    return there
