"""A run without training (`scale=rehearsal`): steps that take a while, made-up metrics, checkpoints.

The metrics are a function of seed and step alone, so an interrupted rehearsal must end as an undisturbed one.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from typing import Any

from gapo_lab import files
from gapo_lab.run_folder import Attempt, RunFolder


def made_up(seed: int, step: int) -> dict[str, float]:
    """The metrics of one step."""
    pick = random.Random(f"{seed} {step}")
    return {"train/reward": pick.random(), "val/id/em": pick.random(), "val/ood/em": pick.random()}


def rehearse(config: Mapping[str, Any], folder: RunFolder, attempt: Attempt) -> int:
    """Go through the steps from the last checkpoint on. Exit code: 0, or 75 after saving when told to stop."""
    asked, checkpoint = config["rehearsal"], folder.checkpoints / "step.json"
    first = ((files.read_json(checkpoint) or {}).get("step", 0)) + 1
    print(f"rehearsal from step {first} of {asked['steps']}, pid {os.getpid()}")
    folder.write_status(total_steps=asked["steps"])
    files.make_folder(folder.checkpoints)
    for step in range(first, asked["steps"] + 1):
        time.sleep(asked["seconds"])
        attempt.append_metrics(step, made_up(config["seed"], step))
        folder.write_status(step=step, message="rehearsing")
        files.write_json(checkpoint, {"step": step})
        if attempt.stop_path.exists():
            return 75
    return 0
