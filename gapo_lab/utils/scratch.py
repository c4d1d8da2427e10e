"""A short temporary folder for one attempt's sockets and its Ray token."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Made, given a token, and removed afterwards. `GAPO_LAB_TMP` says where (sockets want short paths)."""
    folder = Path(tempfile.mkdtemp(prefix="gapo-", dir=os.environ.get("GAPO_LAB_TMP", "/tmp")))
    try:
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(secrets.token_hex(32))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
