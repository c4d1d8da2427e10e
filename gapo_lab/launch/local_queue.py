"""This machine: the runs of a submission, at most so many at a time, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import IO

from rich.console import Console

from gapo_lab.launch import warm_parent
from gapo_lab.launch.submission import Submission
from gapo_lab.launch.warm_parent import WarmParent, WarmWorker
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State
from gapo_lab.utils.import_path import importing_from
from gapo_lab.utils.prose import say
from gapo_lab.utils.stop_signals import counting_signals

Worker = subprocess.Popen | WarmWorker
# Between two looks at runs that were told to end.
PAUSE_SECONDS = 0.1


class LocalQueue:
    """Starts the runs one after another. Call ``poll`` until it is ``over``.

    A run that was started goes on when this process dies; one that still waits then reads as interrupted.

    Where it has several runs, those for which `warm_parent.is_possible` are forks of a process that has imported verl,
    and one more gets ready while a run trains. Others are programs of their own. Both end with the same metrics.
    """

    def __init__(self, submission: Submission) -> None:
        self.submission = submission
        self.waiting = deque(range(len(submission.keys)))
        self.active: dict[int, Worker] = {}
        self._env = {**os.environ, **importing_from(submission.code)}
        self._possible: dict[int, bool] = {}
        self._parent: WarmParent | None = None
        # the worker of the next run, which gets ready before there is room
        self._next: WarmWorker | None = None
        # those that got ready for nothing, until they have ended their processes
        self.leaving: list[Worker] = []
        # one run alone would not start sooner
        self._is_warm = submission.cluster.warm and len(submission.keys) > 1

    @property
    def over(self) -> bool:
        return not self.waiting and not self.active and not self.leaving

    def poll(self) -> None:
        """Start what has room."""
        for task, process in list(self.active.items()):
            if _is_lost(process):
                self._is_warm = False  # what ended its parent would end the next one
                self.waiting.appendleft(task)
                del self.active[task]
            elif process.poll() is not None:
                del self.active[task]
        while self.waiting and len(self.active) < self.submission.cluster.max_parallel:
            task = self.waiting.popleft()
            if self._folder(task).raw_status.state is State.QUEUED:  # else it was cancelled while it waited
                self.active[task] = self._started(task)
        self._get_next_ready()
        if not self.waiting and not self.active:
            self._close()
        self.leaving = still_running(self.leaving)

    def _folder(self, task: int) -> RunFolder:
        return RunFolder(self.submission.root / self.submission.keys[task])

    def _started(self, task: int) -> Worker:
        """Return the worker of this run, told to begin."""
        if self._next and self._next.task == task:
            worker, self._next = self._next, None
        elif self._starts_warm(task):
            worker = self._warm_worker(task)
        else:
            return self._new_program(task)
        worker.begin()
        return worker

    def _new_program(self, task: int) -> subprocess.Popen:
        words = [sys.executable, "-m", "gapo_lab.launch.submitted_run", str(self.submission.path), str(task)]
        with self._log(task) as log:
            return subprocess.Popen(
                words,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _log(self, task: int) -> IO:
        return open(self.submission.logs / f"{self.submission.keys[task]}.log", "ab")

    # Warm starts

    def _starts_warm(self, task: int) -> bool:
        if self._is_warm and task not in self._possible:
            self._possible[task] = warm_parent.is_possible(self._folder(task))
        return self._is_warm and self._possible[task]

    def _warm_worker(self, task: int) -> WarmWorker:
        if self._parent is None:
            self._parent = WarmParent(self.submission, self._env)
        with self._log(task) as log:
            return self._parent.worker(task, log.fileno())

    def _get_next_ready(self) -> None:
        """Once a run trains, let the worker of the next one get ready beside it."""
        if one := self._next:
            self._is_warm = self._is_warm and not one.is_lost
            if one.poll() is not None or one.is_lost or one.task not in list(self.waiting)[:1]:
                self._let_next_go()
        if self._next or not self.waiting or self._parent is None or not self._starts_warm(self.waiting[0]):
            return
        if any(self._folder(task).raw_status.can_save for task in self.active):
            self._next = self._warm_worker(self.waiting[0])

    def _let_next_go(self) -> None:
        if self._next:
            self._let_go(self._next)
        self._next = None

    def _let_go(self, worker: WarmWorker) -> None:
        worker.leave()
        self.leaving.append(worker)

    def _close(self) -> None:
        self._let_next_go()
        if self._parent:
            self._parent.close()
        self._parent, self._is_warm = None, False

    # Stopping

    def drop(self, keys: Collection[str]) -> None:
        """Do not start these runs any more."""
        self.waiting = deque(task for task in self.waiting if self.submission.keys[task] not in keys)

    def give_up_waiting(self) -> None:
        """Start no more runs, and say so in their status."""
        for task, process in list(self.active.items()):
            if isinstance(process, WarmWorker) and not process.has_begun:
                self._let_go(process)
                del self.active[task]
                self.waiting.append(task)
        self._close()
        for task in self.waiting:
            self._folder(task).write_status(state=State.INTERRUPTED, message="was not started", remedy="")
        self.waiting.clear()


def stop(queues: Collection[LocalQueue], why: BaseException, console: Console) -> None:
    """End the runs of all queues; each can be resumed later.

    why: what stopped this process. A Ctrl-C is passed on to the runs: each saves a checkpoint after the step it is
    at. A second one ends them at once. Anything else reaches them as SIGTERM: they have some seconds to save.
    """
    with counting_signals() as told_again:
        for queue in queues:
            queue.give_up_waiting()
        active = still_running([process for queue in queues for process in queue.active.values()])
        leaving = [process for queue in queues for process in queue.leaving]
        by_hand = isinstance(why, KeyboardInterrupt)
        if active and by_hand:
            text = f"{len(active)} running: saving after this step, then ending (Ctrl-C again ends them at once)"
            say(console, text)
        _tell_until_ended(active, leaving, signal.SIGINT if by_hand else signal.SIGTERM, told_again)
    for queue in queues:
        queue.active.clear()
        queue.leaving.clear()


def _tell_until_ended(active: list[Worker], leaving: list[Worker], number: int, told_again: Sequence[int]) -> None:
    """Send the signal ``number`` to the active processes, and SIGTERM to all for each that comes here, until all have
    ended.

    A second SIGINT would be lost on a process that has not handled the first: the same signal waits only once.
    """
    sent = 0
    while active or leaving:
        if sent <= len(told_again):
            for process in [*active, *leaving] if sent else active:
                process.send_signal(signal.SIGTERM if sent else number)
            sent += 1
        time.sleep(PAUSE_SECONDS)
        active, leaving = still_running(active), still_running(leaving)


def still_running(workers: Collection[Worker]) -> list[Worker]:
    """Return those of the workers that have not ended."""
    return [worker for worker in workers if worker.poll() is None and not _is_lost(worker)]


def _is_lost(worker: Worker) -> bool:
    """Whether it was to be forked, and never will be."""
    return isinstance(worker, WarmWorker) and worker.is_lost
