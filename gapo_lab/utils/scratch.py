"""A short temporary folder for one attempt's sockets and its Ray token, and what else an attempt leaves outside it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.utils import shared_memory

# Names the scratch folder in the environment of the job and so of every process below it.
MARK = "GAPO_LAB_SCRATCH"
# A Unix socket's path may have 107 characters. This folder's name takes 14, Ray's session in it 43, its socket 21.
LONGEST_PLACE = 107 - 14 - 43 - 21
# Where verl puts the sockets over which it sends weights, whatever the temporary folder is.
WEIGHT_SOCKETS = Path("/tmp")


def place() -> str:
    """Return the folder in which scratch folders are made: `GAPO_LAB_TMP`, else /tmp."""
    return os.environ.get("GAPO_LAB_TMP", "/tmp")


def check_place() -> None:
    """Raise UserError where Ray's sockets would get too long a path; Ray itself would say so after a minute."""
    if len(place()) > LONGEST_PLACE:
        raise UserError(
            f"GAPO_LAB_TMP={place()}: too long for the sockets below it. Name a folder with at most {LONGEST_PLACE} "
            "characters on a disk of the node"
        )


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder and a token in it; remove both afterwards. `GAPO_LAB_TMP` says where (sockets want short
    paths)."""
    folder = Path(tempfile.mkdtemp(prefix="gapo-", dir=place()))
    try:
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(secrets.token_hex(32))
        yield folder
    finally:
        clear(folder)


def clear(folder: Path) -> None:
    """Remove the folder, the shared memory that its attempt has recorded and the sockets that bear its name."""
    shared_memory.remove_recorded(folder)
    for socket in WEIGHT_SOCKETS.glob(f"*-{folder.name}-*.sock"):
        socket.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def name() -> str:
    """Return the name of this process's scratch folder: no other attempt on this machine has it."""
    return Path(os.environ[MARK]).name
