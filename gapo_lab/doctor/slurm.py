"""Whether SLURM answers, keeps accounts of jobs, and would take the batch scripts of a plan."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from gapo_lab.doctor.finding import Finding, note, ok, wrong
from gapo_lab.launch.shell_variables import hidden_from_sbatch

SECONDS = 60
# Of a batch script, what a person recognises a job by.
SHOWN = ("partition", "account", "qos", "constraint", "nodes", "gpus-per-node", "gres", "mem", "time")


# Pure


def check_answer(version: str, error: str | None) -> Finding:
    """version: as sinfo says it. error: why the controller does not answer."""
    if error is not None:
        return wrong("SLURM", f"does not answer: {error}", "Run this on a login node of the cluster (cluster=NAME)")
    return ok("SLURM", f"{version} answers")


def check_accounting(error: str | None) -> Finding:
    """error: why sacct says nothing."""
    if error is None:
        return ok("sacct", "answers: how a killed job ended will be known")
    return note(
        "sacct", f"says nothing ({error})", "How a killed job ended will not be known; `status` shows it as lost"
    )


def check_script(script: str, code: int, said: str) -> Finding:
    """script: a batch script of the plan. code, said: of `sbatch --test-only`."""
    what = job_in_words(script)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit code {code}"
    if code:
        refusal = next((line for line in lines if "rror" in line or "failure" in line), last)
        return wrong("sbatch", f"{what}: {refusal}", "Change cluster.* (or the file in slurm/): docs/slurm.md")
    when = re.search(r"to start at (\S+)", said)
    return ok("sbatch", f"{what}: accepted" + (f", would start at {when[1]}" if when else ""))


def job_in_words(script: str) -> str:
    """Return what a batch script asks for: `partition=gpu nodes=1 gpus-per-node=8`."""
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", script, flags=re.MULTILINE))
    return " ".join(f"{name}={asked[name]}" for name in SHOWN if name in asked)


# What is looked at


def look(scripts: Sequence[str], shell_variables: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings about SLURM. scripts: those that carrying out the plan would hand over."""
    if shutil.which("sbatch") is None:
        yield check_answer("", "sbatch is not on this machine")
        return
    code, said = _ask("scontrol", "ping")
    down = code != 0 or "UP" not in said
    yield check_answer(_ask("sinfo", "--version")[1].strip(), _last(said) if down else None)
    if down:
        return
    code, said = _ask("sacct", "--noheader", "--allocations", "--starttime=now")
    yield check_accounting(_last(said) if code else None)
    with hidden_from_sbatch(shell_variables):
        for script in scripts:
            yield check_script(script, *_ask("sbatch", "--test-only", given=script))


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["no answer"])[-1]


def _ask(*words: str, given: str = "") -> tuple[int, str]:
    """Return the exit code of a command of SLURM's, and all that it says."""
    try:
        done = subprocess.run(
            words, input=given, capture_output=True, text=True, check=False, timeout=SECONDS, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return 1, f"{words[0]} does not answer within {SECONDS} s"
    except OSError as error:
        return 1, f"{words[0]}: {error.strerror}"
    return done.returncode, done.stdout + done.stderr
