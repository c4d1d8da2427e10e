"""The runs of a search, where they run: started, looked at, ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console

from gapo_lab.launch import executor, local_queue, run_states
from gapo_lab.launch.cancel import end
from gapo_lab.launch.local_queue import LocalQueue
from gapo_lab.launch.watch import EVERY_SCHEDULER
from gapo_lab.planning import plan
from gapo_lab.planning.plan import Planned
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import Cause, RunStatus, State


class Runs(Protocol):
    """What the search asks of the place where its runs are."""

    def start(self, runs: Sequence[Planned]) -> None: ...
    def tick(self) -> None: ...
    def look(self, keys: Sequence[str]) -> Mapping[str, RunStatus]: ...
    def end(self, keys: Sequence[str], cause: Cause, why: str) -> None: ...
    def stop(self, why: BaseException) -> None: ...
    def finish(self, runs: Sequence[Planned]) -> None: ...

    @property
    def ending(self) -> int: ...


class ClusterRuns:
    """Runs on this machine or on SLURM, as their `cluster` settings say."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._queues: list[LocalQueue] = []
        self._ended: list[LocalQueue] = []
        self._known: dict[str, RunStatus] = {}
        self._asked = 0.0

    def start(self, runs: Sequence[Planned]) -> None:
        """Those that are not finished, queued or running."""
        self._queues += executor.start(self.root, runs, Console(quiet=True))
        for run in runs:
            self._known.pop(run.key, None)

    def tick(self) -> None:
        """Give waiting local runs the room that has become free."""
        for queue in (*self._queues, *self._ended):
            queue.poll()
        self._queues = [queue for queue in self._queues if not queue.over]
        self._ended = [queue for queue in self._ended if not queue.over]

    @property
    def ending(self) -> int:
        """Local trials that were ended and whose processes are not gone yet: they still fill a slot."""
        return len(self._ended)

    def look(self, keys: Sequence[str]) -> dict[str, RunStatus]:
        """Their statuses. The scheduler is asked every ten seconds, for all; a folder that is finished needs nobody."""
        quick = {key: RunFolder(self.root / key).status() for key in keys}
        if not any(status.submission for status in quick.values()):
            return quick
        new = [key for key in keys if key not in self._known]
        if new or time.monotonic() - self._asked > EVERY_SCHEDULER:
            self._known |= run_states.read(self.root, keys)
            self._asked = time.monotonic()
        return {
            key: status if status.state is State.FINISHED else self._known.get(key, status)
            for key, status in quick.items()
        }

    def end(self, keys: Sequence[str], cause: Cause, why: str) -> None:
        """End those of the runs that are queued or running, at once; ``why`` is what their status will say."""
        found = run_states.read(self.root, keys)
        for queue in self._queues:
            queue.drop(keys)
        end(self.root, found, cause, why, save=False)
        mine = [queue for queue in self._queues if set(queue.submission.keys) <= set(keys)]
        self._queues = [queue for queue in self._queues if queue not in mine]
        self._ended += mine
        for key in keys:
            self._known.pop(key, None)

    def finish(self, runs: Sequence[Planned]) -> None:
        """Show these runs as a plan, start what is missing of them, and wait. RunFailed where one failed."""
        wanted = plan.make(runs, partial(run_states.read, self.root), executor.measured(self.root))
        executor.carry_out(wanted, wait=True)

    def stop(self, why: BaseException) -> None:
        """End what runs here, as `local_queue.stop`; SLURM's jobs go on."""
        local_queue.stop([*self._queues, *self._ended], why, Console(stderr=True))
