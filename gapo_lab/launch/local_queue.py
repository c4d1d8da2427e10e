"""This machine: the runs of a submission, at most so many at a time, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Collection
from contextlib import suppress

from rich.console import Console

from gapo_lab.errors import Interrupted
from gapo_lab.launch.submission import Submission
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State
from gapo_lab.utils.import_path import importing_from


class LocalQueue:
    """Starts the runs one after another. Call ``poll`` until it is ``over``.

    A run that was started goes on when this process dies; one that still waits then reads as interrupted.
    """

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.waiting = deque(range(len(submission.keys)))
        self.active: dict[int, subprocess.Popen] = {}
        self._env = {**os.environ, **importing_from(submission.code)}

    @property
    def over(self) -> bool:
        return not self.waiting and not self.active

    def poll(self) -> None:
        """Start what has room."""
        self.active = {task: process for task, process in self.active.items() if process.poll() is None}
        while self.waiting and len(self.active) < self.submission.cluster.max_parallel:
            task = self.waiting.popleft()
            key = self.submission.keys[task]
            if RunFolder(self.submission.root / key).raw_status.state is not State.QUEUED:
                continue  # cancelled while it waited
            words = [sys.executable, "-m", "gapo_lab.launch.worker", str(self.submission.path), str(task)]
            with open(self.submission.logs / f"{key}.log", "ab") as log:
                self.active[task] = subprocess.Popen(
                    words,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )

    def drop(self, keys: Collection[str]) -> None:
        """Do not start these runs any more."""
        self.waiting = deque(task for task in self.waiting if self.submission.keys[task] not in keys)

    def give_up_waiting(self) -> None:
        """Start no more runs, and say so in their status."""
        for task in self.waiting:
            folder = RunFolder(self.submission.root / self.submission.keys[task])
            folder.write_status(state=State.INTERRUPTED, message="was not started", remedy="")
        self.waiting.clear()


def stop(queues: Collection[LocalQueue], why: BaseException, console: Console) -> None:
    """End the runs of all queues; each can be resumed later.

    why: what stopped this process. A Ctrl-C is passed on to the runs: each saves a checkpoint after the step it is
    at. A second one ends them at once. Anything else reaches them as SIGTERM: they have some seconds to save.
    """
    for queue in queues:
        queue.give_up_waiting()
    active = [process for queue in queues for process in queue.active.values() if process.poll() is None]
    by_hand = isinstance(why, KeyboardInterrupt)
    if active and by_hand:
        text = f"{len(active)} running: saving after this step, then ending (Ctrl-C again ends them at once)"
        console.print(text, highlight=False, soft_wrap=True)
    number = signal.SIGINT if by_hand else signal.SIGTERM
    while active:
        for process in active:
            process.send_signal(number)
        with suppress(KeyboardInterrupt, Interrupted):  # then they are told again, which ends them at once
            for process in active:
                process.wait()
        active = [process for process in active if process.poll() is None]
    for queue in queues:
        queue.active.clear()
