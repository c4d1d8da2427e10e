"""The process that trains: `python -m gapo_lab.training.job RUN_FOLDER ATTEMPT SCRATCH`, started by the supervisor.

Everything it and verl print goes to the attempt's train.log. What a person must know goes to status.json.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from pathlib import Path

from gapo_lab.errors import FAILED, USER_ERROR, RunFailed, UserError
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State


def main(path: str, number: str, scratch: str) -> int:
    """Train the run in `path` as its attempt `number`, with sockets in `scratch`.

    Returns the exit code: 0, FAILED, USER_ERROR, or after saving STOPPED (it was told to) or RESUME.
    """
    from gapo_lab.utils.processes import die_with_parent

    die_with_parent()
    # Ctrl-C reaches the whole terminal group; the supervisor decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # SLURM may send its warning to every process of a job; only the supervisor acts on it
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = RunFolder(Path(path))
    attempt = Attempt(int(number), folder.path / "attempts" / number)
    try:
        if "rehearsal" in (plain := folder.config()):
            from gapo_lab.training.rehearsal import rehearse

            return rehearse(plain, folder, attempt, Path(scratch))
        from omegaconf import OmegaConf

        from gapo_lab.training.recorder import Stopped
        from gapo_lab.training.train import environment, train
        from gapo_lab.utils import gpu_variables
        from gapo_lab.utils.scratch import check_place

        config = OmegaConf.load(folder.path / "config.yaml")
        check_place()
        gpu_variables.keep_one(os.environ)
        os.environ.update(environment(config, attempt, Path(scratch)))
        try:
            train(config, folder, attempt, Path(scratch))
        except Stopped as stopped:
            print(stopped)
            return stopped.code
        return 0
    except (UserError, RunFailed) as error:
        traceback.print_exc()
        folder.write_status(state=State.FAILED, message=str(error), remedy="")
        return USER_ERROR if isinstance(error, UserError) else FAILED
    except Exception:  # noqa: BLE001 - whatever it is, it goes to the log and the exit code
        traceback.print_exc()
        return FAILED


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    code = main(*sys.argv[1:4])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written and ended; unloading torch and verl takes half a second
