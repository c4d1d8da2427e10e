"""Writing reports: what is there already is kept, unless it has the same content."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

PREVIOUS = "previous"


class Folder:
    """A report's folder. A file that would change is moved to ``previous/<its time>/`` first."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.written: list[str] = []
        self.kept: list[str] = []
        try:
            atomic_files.make_folder(self.path)
        except OSError as error:
            raise UserError(f"cannot write to {path} ({error.strerror}). Name a folder with --out") from error

    def write(self, name: str, content: str | bytes) -> Path:
        """Write ``name`` (it may hold folders) at once: aside, then renamed."""
        path = self.path / name
        data = content.encode("utf-8") if isinstance(content, str) else content
        self.written.append(name)
        if path.exists():
            if path.read_bytes() == data:
                return path
            self._keep(name, path)
        atomic_files.make_folder(path.parent)
        atomic_files.write_bytes(path, data)
        return path

    def _keep(self, name: str, path: Path) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
        to, number = self.path / PREVIOUS / stamp / name, 1
        while to.exists():
            number += 1
            to = self.path / PREVIOUS / f"{stamp}-{number}" / name
        atomic_files.make_folder(to.parent)
        with atomic_files.writing(to):
            os.replace(path, to)
        self.kept.append(name)
