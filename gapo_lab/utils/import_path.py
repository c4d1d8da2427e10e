"""Where Python imports from: in a child process, and in a fork that is to be as a new process would be."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gapo_lab.paths import IMPORT_ROOT


def importing_from(code: Path, *first: Path) -> dict[str, str]:
    """Return the variables that make Python take this package from ``code``, wherever the process is started.

    ``first``: folders that are looked at before ``code``.

    The user's own PYTHONPATH and, at its end, the working folder stay: a reward function may import from there.
    """
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(IMPORT_ROOT)]
    paths = dict.fromkeys([str(Path(path).absolute()) for path in (*first, code)] + [*others, os.getcwd()])
    # safe: the working folder is not put first, where it may hold another version of this package
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}


def follow(before: str) -> None:
    """Import from where PYTHONPATH says now. ``before``: what it said when this process, or its parent, began."""
    now = _folders(os.environ.get("PYTHONPATH", ""))
    leave = {*now, *_folders(before)}
    sys.path[:] = [*now, *(path for path in sys.path if path not in leave)]
    importlib.invalidate_caches()


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Let what is imported in the block find these packages not installed, unless they are imported already."""
    absent = [name for name in packages if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def _folders(path: str) -> list[str]:
    return [os.path.abspath(folder) for folder in path.split(os.pathsep) if folder]
