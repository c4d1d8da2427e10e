"""Real runs of `make demo`, timed from outside: what the platform adds to one, and how long 0.1.0's took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import first_version
from bench.measurement import Row
from gapo_lab.paths import IMPORT_ROOT

# What `make demo` trains.
DEMO = ("data=micro_blocks", "trainer.total_training_steps=20", "trainer.test_freq=10")
# Phases of a run (timing.json) in which verl, Ray and torch work.
VERL = (
    "importing verl",
    "starting Ray",
    "starting the queue",
    "loading the model",
    "validating",
    "training",
    "ending Ray",
)


def platform_share_of_a_run() -> list[Row]:
    """Measure the part of the wall time of `make demo` that is not verl's own work, against all of it.

    This part is: starting Python, composing and checking the configuration, preparing the data, writing the run
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


def demo_against_0_1_0() -> list[Row]:
    """Measure the wall time of `make demo` against that of version 0.1.0 (`data=micro`, 60 steps), one after the other.
    The second row is the time until the first number, that of the validation before training.

    The code of 0.1.0 comes from the history of this repository and runs with the packages that are installed here.
    """
    with tempfile.TemporaryDirectory() as folder, first_version.checkout() as old:
        if old is None:
            print(f"not measured: the demo of 0.1.0 (no commit {first_version.COMMIT} here)")
            return []
        ours, first = _timed(Path(folder, "here"), IMPORT_ROOT, DEMO)
        theirs, their_first = _timed(Path(folder, "there"), old, ())
    return [
        Row("`make demo` / that of 0.1.0", ours, theirs, 0.6),
        Row("its first number / that of 0.1.0", first, their_first, 1 / 3),
    ]


def _timed(folder: Path, code: Path, words: tuple[str, ...]) -> tuple[float, float]:
    """Seconds that a run takes, and until its first metrics."""
    folder.mkdir()
    began = time.time()
    environment = {**os.environ, "PYTHONPATH": str(code)}
    run = [sys.executable, "-m", "gapo_lab.run", *words]
    subprocess.run(run, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    ended = time.time()
    (measured,) = folder.glob("runs/*/attempts/1/metrics.jsonl")
    with open(measured) as rows:
        return ended - began, json.loads(rows.readline())["time"] - began
