"""Requeue a job from inside a container that has no scontrol: its batch script, which runs outside, does it.

submitit calls `scontrol requeue JOB` in the process that has saved. In a container there is neither scontrol nor munge.
There a stand-in writes down what scontrol is asked for, and the script asks it once the container has ended.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from gapo_lab.launch.submission import Submission
from gapo_lab.utils import atomic_files

# The stand-in notes its words in the file that is named here.
NOTE = "GAPO_LAB_SCONTROL_NOTE"
STAND_IN = f"""#!/bin/sh
printf '%s\\n' "$*" > "${NOTE}"
"""


def lines(submission: Submission) -> list[str]:
    """Return the end of the batch script: asks scontrol for what the run has noted, and ends as the run did."""
    return [
        "code=$?",
        f"note={shlex.quote(str(_note(submission, '')))}$SLURM_JOB_ID",
        '[ ! -s "$note" ] || { mv "$note" "$note.done" && scontrol $(cat "$note.done"); }',
        "exit $code",
    ]


def provide_scontrol(submission: Submission) -> None:
    """Put the stand-in on this process's path where there is no scontrol."""
    if shutil.which("scontrol"):
        return
    stand_in = submission.logs / "bin" / "scontrol"
    atomic_files.make_folder(stand_in.parent)
    atomic_files.write_text(stand_in, STAND_IN)
    stand_in.chmod(0o755)
    os.environ[NOTE] = str(_note(submission, os.environ.get("SLURM_JOB_ID", "")))
    os.environ["PATH"] = os.pathsep.join([str(stand_in.parent), os.environ.get("PATH", os.defpath)])


def _note(submission: Submission, job: str) -> Path:
    return submission.logs / f"scontrol-{job}"
