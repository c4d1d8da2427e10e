"""MLflow's database, made by processes that may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from lab import REPO

from gapo_lab.tracking import mlflow_client


@pytest.mark.slow
def test_a_process_killed_while_it_makes_the_database_leaves_nothing_to_mend(tmp_path):
    """A run that is pruned or stopped early ends its copier, which may have just begun with MLflow's migrations."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    words = [
        sys.executable,
        "-c",
        f"from gapo_lab.tracking import mlflow_client; mlflow_client.connect({uri!r})",
    ]
    maker = subprocess.Popen(words, cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)}, stderr=subprocess.DEVNULL)
    try:
        half = tmp_path / ".mlflow.db.new"
        end = time.monotonic() + 120
        while not (half.exists() and half.stat().st_size > 100_000):
            assert time.monotonic() < end and maker.poll() is None
            time.sleep(0.001)
    finally:
        maker.kill()
        maker.wait()
    assert not (tmp_path / "mlflow.db").exists()
    assert mlflow_client.experiment(mlflow_client.connect(uri), uri, "study")
    assert not half.exists()
