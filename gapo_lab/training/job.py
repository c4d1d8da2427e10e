"""The process that trains: `python -m gapo_lab.training.job RUN_FOLDER ATTEMPT SCRATCH`, started by the supervisor.

Everything it and verl print goes to the attempt's train.log. What a person must know goes to status.json.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gapo_lab.errors import FAILED, USER_ERROR, RunFailed, UserError
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State
from gapo_lab.training.recorder import NotWanted, Recorder, Stopped
from gapo_lab.utils import import_path
from gapo_lab.utils.processes import die_with_parent
from gapo_lab.utils.scratch import MARK


def main(path: str, number: str, scratch: str) -> int:
    """Train the run in `path` as its attempt `number`, with sockets in `scratch`.

    Returns the exit code: 0, FAILED, USER_ERROR, or after saving STOPPED (it was told to) or RESUME.
    """
    _obey_the_supervisor()
    folder, attempt = RunFolder(Path(path)), Attempt(int(number), Path(path, "attempts", number))
    if "rehearsal" in (plain := folder.config()):
        from gapo_lab.training.rehearsal import rehearse

        with _told(folder) as code:
            code.value = rehearse(plain, folder, attempt, Path(scratch))
        return code.value
    return _train(Recorder(folder, attempt), Path(scratch))


def get_ready(folder: RunFolder, attempt: Attempt, scratch: Path, told: int, environment: Mapping[str, str]) -> int:
    """As `main`, in a fork that has imported all, before there is an attempt: it begins when a line comes from the pipe
    `told`. Where none comes, nothing is written to the run folder.

    environment: the supervisor's.
    """
    _obey_the_supervisor()
    before = os.environ.get("PYTHONPATH", "")
    os.environ.clear()
    os.environ.update({**environment, MARK: str(scratch)})
    import_path.follow(before)  # the user's modules in the run folder
    os.open(scratch / "job", os.O_CREAT | os.O_RDONLY)  # the watchdog knows a fork by it, and its forks

    def wait() -> None:
        with open(told) as pipe:
            if not pipe.readline():
                raise NotWanted
        _print_to(attempt.log_path, scratch / "ahead.log")

    return _train(Recorder(folder, attempt, wait), scratch)


def _train(recorder: Recorder, scratch: Path) -> int:
    from omegaconf import OmegaConf

    from gapo_lab.training import unchanged
    from gapo_lab.training.train import environment, ready, train
    from gapo_lab.utils import gpu_variables
    from gapo_lab.utils.scratch import check_place

    folder, attempt = recorder.folder, recorder.attempt
    with _told(folder, recorder.begin) as code:
        config = OmegaConf.load(folder.path / "config.yaml")
        unchanged.check(config, folder.spec.get("science", {}))
        check_place()
        gpu_variables.keep_one(os.environ)
        os.environ.update(environment(config, attempt, scratch))
        try:
            with ExitStack() as stack:
                stack.callback(recorder.end_phase)  # of Ray's end
                data = stack.enter_context(ready(config, scratch, recorder))
                train(config, folder, attempt, recorder, data)
        except Stopped as stopped:
            print(stopped)
            code.value = stopped.code
    return code.value


def _obey_the_supervisor() -> None:
    die_with_parent()
    # Ctrl-C reaches the whole terminal group; the supervisor decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SLURM may send its warning to every process of a job; only the supervisor acts on it
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@dataclass
class Code:
    """The exit code that it comes to."""

    value: int = 0


@contextmanager
def _told(folder: RunFolder, begin: Callable[[], None] = lambda: None) -> Iterator[Code]:
    """Write what is wrong to the log, and in a line to status.json; the exit code says of which kind it is.

    begin: called before that: what fails ahead of an attempt is told in it.
    """
    code = Code()
    try:
        try:
            yield code
        except NotWanted:
            raise
        except Exception:
            begin()
            raise
    except NotWanted:
        return
    except (UserError, RunFailed) as error:
        traceback.print_exc()
        folder.write_status(state=State.FAILED, message=str(error), remedy="")
        code.value = USER_ERROR if isinstance(error, UserError) else FAILED
    except Exception:  # noqa: BLE001 - whatever it is, it goes to the log and the exit code
        traceback.print_exc()
        code.value = FAILED


def _print_to(log: Path, before: Path) -> None:
    """From now on print to the file `log`, to which goes first what was printed to the file `before`."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(log, "ab") as there:
        there.write(before.read_bytes())
        there.flush()
        for number in (1, 2):
            os.dup2(there.fileno(), number)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    code = main(*sys.argv[1:4])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written and ended; unloading torch and verl takes half a second
