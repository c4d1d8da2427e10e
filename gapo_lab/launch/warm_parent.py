"""A process that has imported what jobs import, and forks the workers of a local queue from itself.

The queue starts `python -m gapo_lab.launch.warm_parent SOCKET` in the environment of its workers, from the copy of the
code that they run, and asks for a worker a run over the socket. A worker gets ready and begins when it is told
(`submitted_run.when_told`). Nothing of the user's is imported here: each run does that by itself. This process ends
when the queue closes the socket; workers that were told to begin go on.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

from gapo_lab.launch import submitted_run
from gapo_lab.launch.submission import Submission
from gapo_lab.planning.user_settings import GLOO
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.variables import EVERYWHERE, FIRST_JOB, ON_CPU
from gapo_lab.utils import forked

# Those of `train.environment` that are the same in every run on a machine without a GPU. A run's workers watch their
# job themselves (`fork_server`), so any process that does not end will do for the one that Ray has them watch.
WHILE_IMPORTING = {
    **EVERYWHERE,
    **ON_CPU,
    "CUDA_VISIBLE_DEVICES": "0",
    "RAY_JOB_ID": FIRST_JOB,
    "RAY_RAYLET_PID": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# A process that has imported all ends at once.
CLOSING_SECONDS = 0.5


class WarmWorker:
    """A worker that was asked for; with that part of `subprocess.Popen` that a queue uses."""

    def __init__(self, parent: WarmParent, task: int, tell: int) -> None:
        self.task, self._parent, self._tell = task, parent, tell
        self._pidfd: int | None = None
        self._is_wanted = False

    @property
    def has_begun(self) -> bool:
        """Whether it was there and was told to begin."""
        self._parent.look()
        return self._pidfd is not None and self._is_wanted

    @property
    def is_lost(self) -> bool:
        """Whether its parent has ended before it was there."""
        return self._pidfd is None and self._parent.is_over

    def arrived(self, pidfd: int) -> None:
        self._pidfd = pidfd
        if self._is_wanted:
            self.begin()

    def begin(self) -> None:
        """Tell it to begin as soon as it is there."""
        self._is_wanted = True
        if self._pidfd is not None:
            with suppress(BrokenPipeError):
                os.write(self._tell, b"!")
            self.leave()

    def leave(self) -> None:
        """Tell it nothing any more: where it was not told to begin, it ends."""
        if self._tell >= 0:
            os.close(self._tell)
        self._tell = -1

    def poll(self) -> int | None:
        """None while it runs; else 0: how its run has ended stands in the run folder."""
        self._parent.look()
        if self._pidfd is None:
            return None
        return 0 if select.select([self._pidfd], [], [], 0)[0] else None

    def send_signal(self, number: int) -> None:
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


class WarmParent:
    """The process, as the queue sees it."""

    def __init__(self, submission: Submission, environment: dict[str, str]) -> None:
        self.submission = submission
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asked: list[WarmWorker] = []
        self.is_over = False
        words = [sys.executable, "-m", "gapo_lab.launch.warm_parent", str(theirs.fileno())]
        with theirs, open(submission.logs / "warm_parent.log", "ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def worker(self, task: int, log: int) -> WarmWorker:
        """Ask for a worker of this task, which prints to the open file ``log`` and waits until it is told to begin."""
        listen, tell = os.pipe()
        made = WarmWorker(self, task, tell)
        try:
            request = json.dumps({"path": str(self.submission.path), "task": task}).encode()
            socket.send_fds(self._socket, [request], [log, listen])
            self._asked.append(made)
        except OSError:
            self.is_over = True
        finally:
            os.close(listen)
        return made

    def look(self) -> None:
        """See which workers have come, and whether the process still lives."""
        while not self.is_over and select.select([self._socket], [], [], 0)[0]:
            try:
                said, files, *_ = socket.recv_fds(self._socket, 64, 1)
            except OSError:
                said = b""
            if not said:
                self.is_over = True
                return
            self._asked.pop(0).arrived(files[0])

    def close(self) -> None:
        """End the process; workers that were told to begin go on. Those that it still makes are heard of."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + CLOSING_SECONDS
        while not self.is_over and select.select([self._socket], [], [], max(0.0, until - time.monotonic()))[0]:
            self.look()
        self._socket.close()
        self.is_over = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSING_SECONDS)
        if self._process.poll() is None:  # it is importing
            self._process.kill()
            self._process.wait()


def is_possible(folder: RunFolder) -> bool:
    """Whether the run in this folder may start from a parent that has imported for all.

    That is: verl on this machine's CPU, with nothing of the user's own that must be there before verl is. A reward or a
    data class is loaded later; a method is not."""
    config = folder.config()
    return (
        hasattr(os, "pidfd_open")
        and config["backend"]["name"] == "cpu"
        and "rehearsal" not in config
        and config["trainer"]["nnodes"] == 1
        and config["actor_rollout_ref"]["model"]["external_lib"] == GLOO
        and config["algo"].get("path") is None
    )


def main(number: str) -> int:
    """Serve the queue at the other end of the open socket ``number`` until it is closed."""
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    control = socket.socket(fileno=int(number))
    control.set_inheritable(False)
    environment = dict(os.environ)
    os.environ.update(WHILE_IMPORTING)
    _import_all()
    gc.collect()
    gc.freeze()
    forked.remember_open_files(besides=(0, 1, 2, control.fileno()))
    said = b"?"
    while said:
        if select.select([control], [], [], 1.0)[0]:
            said, files, *_ = socket.recv_fds(control, 1 << 16, 2)
            if said:
                _fork(control, json.loads(said), files, environment)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return 0


def _import_all() -> None:
    from gapo_lab.training import job, reward_function, train  # noqa: F401

    train.import_all("cpu", "cpu")
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    import gapo_lab.tracking.copier
    import gapo_lab.tracking.live_copy
    import gapo_lab.tracking.mlflow_client  # noqa: F401


def _fork(control: socket.socket, request: dict, files: list[int], environment: dict[str, str]) -> None:
    log, told = files

    def main() -> int:
        os.environ.clear()
        os.environ.update(environment)
        return submitted_run.when_told(request["path"], request["task"], told)

    child = forked.fork(main, log, keep=(told,))
    socket.send_fds(control, [str(child.pid).encode()], [child.pidfd])
    for number in (*files, child.pidfd):
        os.close(number)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
