"""The process that copies a run to MLflow while it goes on (`gapo_lab.tracking.live_copy`), as its supervisor sees
it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import partial
from typing import IO

from rich.console import Console

from gapo_lab.runs.folder import RunFolder
from gapo_lab.tracking.uri import command
from gapo_lab.utils import forked
from gapo_lab.utils.prose import say

PATIENCE_SECONDS = 60.0


class CopierProcess:
    """Starts the copier, which gives itself the lowest priority, and waits for it."""

    def __init__(self, folder: RunFolder, environment: Mapping[str, str], log: IO | int, is_warm: bool = False) -> None:
        """is_warm: whether this process has imported MLflow, so that the copier is a fork of it."""
        self.folder = folder
        self._process = self._fork(log) if is_warm else self._program(environment, log)

    def _fork(self, log: IO | int) -> forked.Forked:
        from gapo_lab.tracking import live_copy

        with open(os.devnull, "ab") as nothing:
            output = nothing.fileno() if isinstance(log, int) else log.fileno()
            return forked.fork(partial(live_copy.main, [str(self.folder.path)]), output)

    def _program(self, environment: Mapping[str, str], log: IO | int) -> subprocess.Popen:
        words = [sys.executable, "-m", "gapo_lab.tracking.live_copy", str(self.folder.path)]
        return subprocess.Popen(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def finish(self, console: Console, patience: float = PATIENCE_SECONDS) -> None:
        """Let it copy the rest; the run is safe in its folder if it cannot."""
        with suppress(OSError):  # the terminal may be gone
            with console.status("copying to MLflow") if console.is_terminal else nullcontext():
                problem = self._problem(patience)
            if problem:
                later = command("sync", self.folder.key, root=self.folder.path.parent)
                text = f"{problem}: nothing is lost; to copy the run later: {later}"
                say(console, text)

    def _problem(self, patience: float) -> str:
        """Why not all was copied; '' where it was. A requeued job ends the copier itself: its next attempt copies."""
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = abs(self._process.wait())
        if code < 0:
            return "the copy to MLflow was ended with the job"
        return "MLflow could not be reached" if code else ""
