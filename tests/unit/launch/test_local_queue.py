"""The queue of runs on this machine: how it is stopped."""

from __future__ import annotations

import io
import signal
import subprocess
import sys

from lab import PATIENCE
from rich.console import Console

from gapo_lab.launch.local_queue import LocalQueue, stop
from gapo_lab.launch.submission import Submission
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State

# A run that saves at the first Ctrl-C, for longer than anybody waits, and ends at the second one. It is so busy that it
# handles both together: of two SIGINTs it would see one.
SAVES_FOR_LONG = """
import signal, time
told = []
both = (signal.SIGINT, signal.SIGTERM)
for number in both:
    signal.signal(number, lambda number, frame: told.append(number))
signal.pthread_sigmask(signal.SIG_BLOCK, both)
print("ready", flush=True)
while not set(both) <= signal.sigpending():
    time.sleep(0.05)
signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
while len(told) < 2:
    time.sleep(0.05)
"""


class Impatient(LocalQueue):
    """Ctrl-C comes again while it gives up the runs that wait."""

    def give_up_waiting(self) -> None:
        signal.raise_signal(signal.SIGINT)
        super().give_up_waiting()


def test_two_quick_ctrl_c_end_the_runs_and_leave_none_going(tmp_path):
    folder = RunFolder.open(tmp_path, "waits", {"key": "waits"})
    folder.queue()
    queue = Impatient(Submission.new(tmp_path, ["trains", "waits"], cluster=ClusterConfig(), code=tmp_path))
    trains = subprocess.Popen([sys.executable, "-c", SAVES_FOR_LONG], stdout=subprocess.PIPE, text=True)
    try:
        assert trains.stdout.readline() == "ready\n"
        queue.waiting.remove(0)
        queue.active[0] = trains
        out = io.StringIO()
        stop([queue], KeyboardInterrupt(), Console(file=out, width=120))
        assert trains.wait(PATIENCE) == 0 and queue.over
    finally:
        trains.kill()
        trains.communicate()
    assert "1 running: saving after this step" in out.getvalue()
    status = folder.raw_status
    assert (status.state, status.message) == (State.INTERRUPTED, "was not started")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_queue_is_over_when_the_run_that_got_ready_for_nothing_has_ended_its_processes(tmp_path):
    """It was let go when nothing was left to do, and its Ray outlived the sweep by seconds."""
    queue = LocalQueue(Submission.new(tmp_path, [], cluster=ClusterConfig(), code=tmp_path))
    ends = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True)
    try:
        queue.leaving.append(ends)
        queue.poll()
        assert not queue.over
        ends.stdin.close()
        stop([queue], KeyboardInterrupt(), Console(file=io.StringIO()))
        assert ends.poll() is not None and queue.over
    finally:
        ends.kill()
        ends.wait()
