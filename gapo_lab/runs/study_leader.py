"""Whether a process lives that will still add runs to a study: a search, a sweep in stages, seeds that are added.

Such a process holds a lock on `runs/.studies/STUDY.lock`, several of them together. It vanishes with the process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gapo_lab.runs import studies
from gapo_lab.utils import atomic_files

SUFFIX = ".lock"


@contextlib.contextmanager
def leading(root: Path, names: Iterable[str]) -> Iterator[None]:
    """Be a process that adds runs to the studies of these names."""
    folder = Path(root) / studies.FOLDER
    atomic_files.make_folder(folder)
    with contextlib.ExitStack() as held:
        for name in dict.fromkeys(names):
            held.enter_context(atomic_files.shared(folder / f"{name}{SUFFIX}"))
        yield


def is_led(root: Path, study: str | None) -> bool:
    """Whether a process leads this study; any study where None is named."""
    folder = Path(root) / studies.FOLDER
    paths = folder.glob(f"*{SUFFIX}") if study in (None, "all") else [folder / f"{study}{SUFFIX}"]
    return any(map(_is_held, paths))


def _is_held(path: Path) -> bool:
    if not path.is_file():
        return False
    handle = atomic_files.try_lock(path)
    if handle is None:
        return True
    os.close(handle)
    return False
