"""A short temporary folder for one attempt's sockets and its Ray token, and what else an attempt leaves outside it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gapo_lab.utils import shared_memory

# Names the scratch folder in the environment of the job and so of every process below it.
MARK = "GAPO_LAB_SCRATCH"
# Where verl puts the sockets over which it sends weights, whatever the temporary folder is.
WEIGHT_SOCKETS = Path("/tmp")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder and a token in it; remove both afterwards. `GAPO_LAB_TMP` says where (sockets want short
    paths)."""
    folder = Path(tempfile.mkdtemp(prefix="gapo-", dir=os.environ.get("GAPO_LAB_TMP", "/tmp")))
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
