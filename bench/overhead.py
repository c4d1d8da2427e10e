"""What the platform adds to a run: one real run of `make demo`, timed from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measurement import Row

# What `make demo` trains.
DEMO = ("data=micro_blocks", "trainer.total_training_steps=20", "trainer.test_freq=10")
# Phases of a run (timing.json) in which verl, Ray and torch work.
VERL = ("importing verl", "starting Ray", "loading the model", "validating", "training", "ending Ray")


def platform_share_of_a_run() -> list[Row]:
    """Wall time of `make demo` outside verl's own work against all of it.

    Outside are: starting Python, composing and checking the configuration, preparing the data, writing the run
    folder, ending the processes and the last copy to MLflow. (The live copy to MLflow runs in
    parallel at the lowest priority. What it costs a step is counted as verl's work.)
    """
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        words = [sys.executable, "-m", "gapo_lab.run", *DEMO]
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        wall = time.monotonic() - began
        (timing,) = Path(folder).glob("runs/*/attempts/1/timing.json")
        seconds = json.loads(timing.read_text())
    verl = sum(seconds[phase] for phase in VERL) - seconds["recording"]
    return [Row("platform / wall time of `make demo`", wall - verl, wall, 0.02)]
