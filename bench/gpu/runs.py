"""One `gapo_lab.run` in a working folder of its own, and what it makes outside that folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from gapo_lab.paths import IMPORT_ROOT
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils.import_path import importing_from
from gapo_lab.utils.scratch import WEIGHT_SOCKETS
from gapo_lab.utils.shared_memory import RECORD, SEGMENTS

POLL_SECONDS = 0.3
# The watchdog of a run that was killed gets this long to end what it left.
CLEARING_SECONDS = 60.0
# What a shell may have set for another run.
FOREIGN = ("MLFLOW_", "RAY_", "GAPO_LAB_SCRATCH", "VERL_")


class Run:
    """A run of these words, in a folder that is its own and that it may be started in again.

    `scratch` and `segments` are what was seen of it outside: the folders with its sockets, and its shared memory.
    """

    def __init__(self, cwd: Path, words: tuple[str, ...]) -> None:
        self.cwd, self.words = Path(cwd).absolute(), words
        self.scratch: list[Path] = []
        self.segments: set[str] = set()
        self.began = 0.0
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it, or start it again."""
        self.cwd.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        with open(self.output, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gapo_lab.run", *self.words],
                cwd=self.cwd,
                env={**environment, **importing_from(IMPORT_ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.began = time.time()

    @property
    def output(self) -> Path:
        """What the command prints."""
        return self.cwd / "output.txt"

    @property
    def folder(self) -> RunFolder:
        """Its run folder; FileNotFoundError before it is there."""
        found = [path for path in (self.cwd / "runs").iterdir() if path.is_dir() and not path.name.startswith(".")]
        if not found:
            raise FileNotFoundError(self.cwd / "runs")
        return RunFolder(found[0])

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll() if self._process else None

    def look(self) -> None:
        """Note the scratch folder of its attempt, and the shared memory that is recorded there."""
        with suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True) if self._process else ():
                words = child.cmdline()
                if "gapo_lab.supervision.watchdog" in words and Path(words[-1]) not in self.scratch:
                    self.scratch.append(Path(words[-1]))
        for folder in self.scratch:
            with suppress(OSError):
                self.segments |= set((folder / RECORD).read_text(encoding="utf-8").split())

    def has_ended(self) -> bool:
        self.look()
        return self.code is not None

    def reached(self, step: int) -> bool:
        """Whether it has a checkpoint of this step, or a later one."""
        try:
            return self.folder.resume_step() >= step
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """Kill it as `kill -9` does: its supervisor, which cannot end anything any more."""
        if self._process and self._process.poll() is None:
            self.look()
            self._process.kill()
            self._process.wait()

    def left_behind(self) -> list[str]:
        """Return processes, shared memory, sockets and scratch folders of it that are there."""
        left = [name for name in self.segments if (SEGMENTS / name).exists()]
        left += [str(folder) for folder in self.scratch if folder.exists()]
        names = "|".join(re.escape(folder.name) for folder in self.scratch) or "(?!)"
        left += [str(path) for path in WEIGHT_SOCKETS.glob("*.sock") if re.search(f"({names})-", path.name)]
        return left + self._processes()

    def _processes(self) -> list[str]:
        found = psutil.process_iter(["cmdline", "cwd"])
        return [
            " ".join(p.info["cmdline"] or [])
            for p in found
            if (p.info["cwd"] or "").startswith(str(self.cwd) + os.sep) or p.info["cwd"] == str(self.cwd)
        ]

    def end(self) -> None:
        """Kill it if it still runs, and wait until its watchdog has ended what it left."""
        self.kill()
        wait(lambda: not self.left_behind(), CLEARING_SECONDS)


def wait(condition: Callable[[], bool], seconds: float, meanwhile: Callable[[], None] = lambda: None) -> bool:
    """Wait until the condition holds, at most so many seconds; whether it did."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        meanwhile()
        time.sleep(POLL_SECONDS)
    return True
