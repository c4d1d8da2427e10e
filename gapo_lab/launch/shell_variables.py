"""The variables of the shell that sbatch would obey before the script, and hand on to the job: an interactive job's, a
site module's."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

BEGINNINGS = ("SLURM_", "SBATCH_", "SRUN_")
# Where the cluster is.
KEPT = ("SLURM_CONF",)


@contextmanager
def hidden_from_sbatch(but: Collection[str] = ()) -> Iterator[None]:
    """Take SLURM's variables out of this process's environment for the time of the block.

    but: names that stay, beside SLURM_CONF (`cluster.shell_variables`).
    """
    kept = {*KEPT, *but}
    hidden = {name: value for name, value in os.environ.items() if name.startswith(BEGINNINGS) and name not in kept}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
