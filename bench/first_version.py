"""The code of version 0.1.0, from the history of this repository: the demo of that version, and a machine's pace.

Limits in seconds were set where 0.1.0 took what its docs/bench.md says. On a slower machine they would say nothing, so
a row's limit is multiplied by the machine's pace: how many times as long 0.1.0 takes on it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from gapo_lab.paths import IMPORT_ROOT

COMMIT = "c79866397e12"
# Processor seconds of 0.1.0 where the limits were set, and the code that measures them again.
PLANNING = (
    13.5,
    """
from bench import launch
from gapo_lab.grid import make_grid
from gapo_lab.launch import sweep
cells = make_grid(launch.TEN_THOUSAND).cells()
print(launch._seconds(lambda: sweep.plan_of(cells)))
""",
)
STATUS = (
    0.947,
    """
from bench import launch
print(launch.status_of_a_thousand()[0].ours)
""",
)


@contextmanager
def checkout() -> Iterator[Path | None]:
    """Yield a folder with the code of 0.1.0; None where this is no checkout that has its commit."""
    archive = ["git", "-C", str(IMPORT_ROOT), "archive", COMMIT]
    packed = subprocess.run(archive, capture_output=True, check=False)
    if packed.returncode:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


@cache
def pace(measure: tuple[float, str]) -> float:
    """Return how many times as long 0.1.0 takes here as where the limits were set; 1 where its code is not here.

    measure: `PLANNING`, a plan of 10,152 cells, or `STATUS`, that of 1,000 runs.
    """
    seconds, code = measure
    with checkout() as old:
        if old is None:
            print(f"0.1.0 is not here (no commit {COMMIT}): limits in seconds stand as they were set")
            return 1.0
        words = [sys.executable, "-c", code]
        environment = {**os.environ, "PYTHONPATH": str(old)}
        done = subprocess.run(words, cwd=old, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) / seconds
