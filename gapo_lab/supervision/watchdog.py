"""Clear up after a supervisor that was killed: `python -m gapo_lab.supervision.watchdog FOLDER`, stdin a pipe from it.

The kernel closes the pipe however the supervisor ends. What it could not end itself, the processes that carry
FOLDER in their environment, is ended then, and the scratch folder removed, with the shared memory recorded there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from gapo_lab.utils.scratch import MARK, clear, scratch_folder


@contextmanager
def watched_scratch_folder(environment: Mapping[str, str]) -> Iterator[tuple[Path, int]]:
    """Yield a `scratch_folder` that is cleared up also when this process is killed; the folder, and the watchdog's pid.

    environment: the watchdog's; this package must be found in it.
    """
    watch = None
    try:
        with scratch_folder() as folder:
            watch = subprocess.Popen(
                [sys.executable, "-m", "gapo_lab.supervision.watchdog", str(folder)],
                env=environment,
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
            yield folder, watch.pid
    finally:  # the folder is gone: the watchdog has nothing to look for
        if watch and watch.stdin:
            watch.stdin.close()
            watch.wait()


def marked(folder: str) -> list[psutil.Process]:
    """Return the processes of this user that carry the folder's name in their environment, or have a file in it open.

    Ray's agents write their title over their environment; their logs are below the folder.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == folder or _has_open(process.pid, folder):
                found.append(process)
    return found


def _has_open(pid: int, folder: str) -> bool:
    return any(os.readlink(fd).startswith(folder + os.sep) for fd in Path(f"/proc/{pid}/fd").glob("*"))


def main(folder: str) -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # SLURM's warning goes to every process of a job
    sys.stdin.buffer.read()
    if not os.path.isdir(folder):  # the supervisor has cleared up
        return
    while left := marked(folder):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)
    clear(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1])
