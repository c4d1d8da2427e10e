"""The environment in which a child process takes this package from a given folder."""

from __future__ import annotations

import os
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
