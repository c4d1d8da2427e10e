"""This machine: the runs of a submission, at most so many at a time, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Collection

from gapo_lab.launch import code_snapshot
from gapo_lab.launch.submission import Submission
from gapo_lab.runs.folder import RunFolder


class LocalQueue:
    """Starts the runs one after another. Call ``poll`` until it is ``over``.

    A run that was started goes on when this process dies; one that still waits then reads as interrupted.
    """

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.waiting = deque(range(len(submission.keys)))
        self.active: dict[int, subprocess.Popen] = {}
        self._env = {**os.environ, **code_snapshot.environment(submission.code)}

    @property
    def over(self) -> bool:
        return not self.waiting and not self.active

    def poll(self) -> None:
        """Start what has room."""
        self.active = {task: process for task, process in self.active.items() if process.poll() is None}
        while self.waiting and len(self.active) < self.submission.cluster["max_parallel"]:
            task = self.waiting.popleft()
            key = self.submission.keys[task]
            words = [sys.executable, "-m", "gapo_lab.launch.worker", str(self.submission.path), str(task)]
            with open(self.submission.logs / f"{key}.log", "ab") as log:
                self.active[task] = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=self._env,
                                                     stdin=subprocess.DEVNULL, start_new_session=True)  # fmt: skip

    def drop(self, keys: Collection[str]) -> None:
        """Do not start these runs any more."""
        self.waiting = deque(task for task in self.waiting if self.submission.keys[task] not in keys)

    def stop(self) -> None:
        """End what runs, tell what waits; every run can go on later."""
        for task in self.waiting:
            RunFolder(self.submission.root / self.submission.keys[task]).write_status(
                state="interrupted", message="was not started", remedy="the same command starts it")  # fmt: skip
        self.waiting.clear()
        for process in self.active.values():
            process.send_signal(signal.SIGTERM)
        for process in self.active.values():
            process.wait()
        self.active.clear()
