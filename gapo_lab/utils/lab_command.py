"""A command of ours as a person types it in the working folder, for a message that says what to do."""

from __future__ import annotations

import shlex
from pathlib import Path


def lab_command(*words: str, root: Path | None = None) -> str:
    """`python -m gapo_lab WORDS`. ``root``: where the runs lie, which is said where it is not `runs`."""
    return " ".join(["python -m gapo_lab", shlex.join([*rooted(root), *words])])


def rooted(root: Path | None) -> list[str]:
    """Return the option for the folder of the runs; [] where it is the usual one."""
    is_usual = root is None or root.absolute() == Path.cwd() / "runs"
    return [] if is_usual else ["--root", str(root)]
