"""The process that trains, as its supervisor sees it: a new program, or a fork of a supervisor that has imported all.

A fork may be made before there is an attempt: it brings its Ray up and waits until it is told the number of one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.supervision.watchdog import watched_scratch_folder
from gapo_lab.utils import forked
from gapo_lab.utils.processes import adopt_orphans, end_descendants
from gapo_lab.utils.scratch import MARK


@dataclass(frozen=True)
class Job:
    """The child process that trains, and the attempt that it works on."""

    attempt: Attempt
    process: subprocess.Popen | forked.Forked

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    def ask_to_save(self) -> None:
        """Tell it to save after the step it is at, and to end."""
        self.attempt.stop_path.touch()

    def wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)


class NewPrograms:
    """Starts jobs as programs of their own."""

    def __init__(self, folder: RunFolder, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def ahead(self) -> AbstractContextManager[None]:
        """Do nothing: a new program has seconds to go before it needs an attempt, and all of it is told with one."""
        return nullcontext()

    @contextmanager
    def started(self, attempt: Attempt, log: IO) -> Iterator[tuple[Job, int]]:
        """Start the job of this attempt; it, and the pid of its watchdog. What it prints goes to ``log``."""
        with watched_scratch_folder(self.environment) as (scratch, guard):
            words = [sys.executable, "-m", "gapo_lab.training.job"]
            process = subprocess.Popen(
                [*words, str(self.folder.path), str(attempt.number), str(scratch)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**self.environment, MARK: str(scratch)},
            )
            yield Job(attempt, process), guard


@dataclass(frozen=True)
class Waiting:
    """A job that gets ready for an attempt, the pipe that tells it to begin, what it has printed, its watchdog."""

    attempt: Attempt
    process: forked.Forked
    tell: int
    said: Path
    guard: int


class Forks:
    """Starts jobs as forks of this process, the first one ahead of its attempt."""

    def __init__(self, folder: RunFolder, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self._ahead: Waiting | None = None

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """Let a job get ready for the next attempt while the block runs; one that nobody has used then is ended."""
        adopt_orphans()
        with self._waiting(self.folder.next_attempt()) as waiting:
            self._ahead = waiting
            try:
                yield
            finally:
                if self._ahead:
                    self._ahead = None
                    end_descendants(keep={waiting.guard})

    @contextmanager
    def started(self, attempt: Attempt, log: IO) -> Iterator[tuple[Job, int]]:
        """As `NewPrograms.started`."""
        if self._ahead and self._ahead.attempt == attempt:
            waiting, self._ahead = self._ahead, None
            yield self._begin(waiting, log), waiting.guard
        else:
            with self._waiting(attempt) as waiting:
                yield self._begin(waiting, log), waiting.guard

    def _begin(self, waiting: Waiting, log: IO) -> Job:
        with suppress(BrokenPipeError):  # it was ended before it was needed: its exit code says so
            os.write(waiting.tell, b"begin\n")
        if waiting.process.poll() is not None:
            log.write(waiting.said.read_bytes())
            log.flush()
        return Job(waiting.attempt, waiting.process)

    @contextmanager
    def _waiting(self, attempt: Attempt) -> Iterator[Waiting]:
        from gapo_lab.training import job

        with watched_scratch_folder(self.environment) as (scratch, guard):
            said = scratch / "ahead.log"
            listen, tell = os.pipe()
            with open(said, "ab") as output:
                ready = partial(job.get_ready, self.folder, attempt, scratch, listen, self.environment)
                process = forked.fork(ready, output.fileno(), keep=(listen,))
            os.close(listen)
            try:
                yield Waiting(attempt, process, tell, said, guard)
            finally:
                os.close(tell)
