"""What it costs to look at a run that goes on: `python -m bench --only looking`."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

from bench.measurement import Row

STEPS, METRICS, LOOKS = 5000, 100, 200


def looking_at_a_long_run() -> list[Row]:
    """Measure how much processor time it takes to follow a run of 5,000 steps x 100 metrics that has written one more
    step at each look. The supervisor looks every half second, the watcher every second. Each may use at most 2% of a
    core. The last row compares the watcher's look with reading all of the metrics.
    """
    from rich.console import Console

    from gapo_lab.launch.watch import EVERY
    from gapo_lab.runs.folder import RunFolder
    from gapo_lab.supervision.progress import Progress, history_of, snapshot
    from gapo_lab.supervision.supervisor import POLL_SECONDS

    with tempfile.TemporaryDirectory() as root:
        folder = RunFolder.open(Path(root), "key", {"model": "nano"})
        attempt = folder.start_attempt(total_steps=STEPS)
        values = {f"metric/{number}": 0.5 for number in range(METRICS - 1)} | {"train/reward": 0.5}
        for step in range(STEPS - LOOKS):
            attempt.append_metrics(step, values)
        progress, history = Progress(folder, Console(file=io.StringIO())), history_of(folder)
        progress.poll(), snapshot(folder, time.time(), history)
        supervisor = watcher = 0.0
        for step in range(STEPS - LOOKS, STEPS):
            attempt.append_metrics(step, values)
            supervisor += _seconds(progress.poll)
            watcher += _seconds(lambda: snapshot(folder, time.time(), history))
        whole = _seconds(lambda: snapshot(folder, time.time()))
    size = f"{STEPS:,} steps x {METRICS} metrics"
    return [
        Row(f"the supervisor's look at {size} / the half second between two", supervisor / LOOKS, POLL_SECONDS, 0.02),
        Row("the watcher's look at it / the second between two", watcher / LOOKS, EVERY, 0.02),
        Row("the watcher's look at it / reading all of it", watcher / LOOKS, whole, 0.02),
    ]


def _seconds(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start
