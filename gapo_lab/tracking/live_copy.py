"""Copies a run to MLflow while it goes on: ``python -m gapo_lab.tracking.live_copy RUN_DIR [--uri URI]``.

A process of its own, at the lowest priority, which the job's supervisor starts. Whatever happens to MLflow
touches neither the run nor its folder: what could not be copied is copied later by ``python -m gapo_lab
sync``. The exit code is 1 then.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking.uri import command
from gapo_lab.utils.text import type_and_line

if TYPE_CHECKING:
    from gapo_lab.tracking.copier import Copier

EVERY = 5.0  # seconds between two looks at the folder
GLANCE = 0.1  # seconds between two looks at whether the run has ended: the supervisor waits for the last copy
LONGEST_PAUSE = 60.0  # seconds between two tries while MLflow is away
AT_THE_END = 30.0  # seconds that the last copy may be tried again


def follow(
    folder: RunFolder,
    uri: str | None = None,
    every: float = EVERY,
    at_the_end: float = AT_THE_END,
    say: Callable[[str], None] = print,
) -> bool:
    """Copy new points until the run has ended, then everything; False, and one line, where that failed."""
    copier, seen, pause, error = None, -1, every, None
    while not is_over(folder):
        size = written(folder)
        if size != seen and size:  # nothing heavy is imported before there is something to copy
            try:
                copier = copier or _copier(folder, uri)
                if seen < 0:
                    copier.everything()
                    copier.shared()
                else:
                    copier.points()
                seen, pause = size, every
            except Exception as failed:  # noqa: BLE001 - MLflow is away; the folder keeps everything
                if type(failed) is not type(error):
                    say(f"MLflow: {type_and_line(failed)}; the run goes on, and copying is tried again")
                copier, error, pause = None, failed, min(2 * pause, LONGEST_PAUSE)
        _wait(folder, pause)
    return _finish(folder, uri, at_the_end, say, copier)


def _finish(
    folder: RunFolder, uri: str | None, patience: float, say: Callable[[str], None], copier: Copier | None
) -> bool:
    """Copy everything, with the copier that has done it so far; with a new one where that fails."""
    until = time.monotonic() + patience
    while True:
        try:
            copier = copier or _copier(folder, uri)
            copier.everything()
            _analyze(copier.uri)
            return True
        except Exception as error:  # noqa: BLE001
            copier = None
            if time.monotonic() >= until:
                say(
                    f"MLflow could not be reached ({type_and_line(error)}): nothing is lost; "
                    f"to copy the run later: {command('sync', folder.key, root=folder.path.parent)}"
                )
                return False
        time.sleep(min(2.0, patience))


def is_over(folder: RunFolder) -> bool:
    """Nothing more will come: the run has ended, or was never started."""
    return not folder.status().is_active


def written(folder: RunFolder) -> int:
    """Bytes of metrics so far, over all attempts."""
    return sum(a.metrics_path.stat().st_size for a in folder.attempts() if a.metrics_path.exists())


def _wait(folder: RunFolder, seconds: float) -> None:
    """Wait, but not longer than the run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not is_over(folder):
        time.sleep(min(GLANCE, seconds))


def _copier(folder: RunFolder, uri: str | None) -> Copier:
    from gapo_lab.tracking.copier import Copier

    return Copier(folder, uri)


def _analyze(uri: str) -> None:
    from gapo_lab.tracking import mlflow_client

    mlflow_client.analyze(uri)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gapo_lab.tracking.live_copy", description=__doc__.split("\n\n")[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--uri", help="MLflow's address (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    parser.add_argument("--every", type=float, default=EVERY, metavar="SECONDS")
    asked = parser.parse_args(words)
    os.nice(19)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # SLURM's warning is for the supervisor
    if not sys.stdin.isatty():  # started by a supervisor: a Ctrl-C is for it, and the last copy comes after it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    done = follow(RunFolder(asked.run_dir), asked.uri, asked.every, say=lambda text: print(text, flush=True))
    return 0 if done else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the supervisor waits for it, and unloading MLflow takes half a second
