"""SLURM through submitit: one job array for the runs that ask for the same resources."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.launch import outside_container
from gapo_lab.launch.shell_variables import hidden_from_sbatch
from gapo_lab.launch.slurm_task import SlurmTask
from gapo_lab.launch.submission import Submission
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.utils.import_path import importing_from

# SLURM's own default for MaxArraySize, less one: tasks are counted from 0.
ARRAY_SIZE = 1000


def require() -> None:
    """UserError where this machine has no SLURM."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "cluster=slurm: sbatch is not on this machine. Run it on a login node, leave cluster=slurm out, or try "
            "slurm/dev-cluster up"
        )


def largest_array() -> int:
    """Return how many runs one job array may have here: MaxArraySize; SLURM's default where it does not answer."""
    words = ["scontrol", "show", "config"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ARRAY_SIZE
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", said, re.MULTILINE)
    # the largest index is one less, and there must be one
    return max(1, int(found[1]) - 1) if found else ARRAY_SIZE


def submit(submission: Submission, tasks: Sequence[Callable[[], Any]] = ()) -> str:
    """Hand the submission to SLURM with one sbatch; its job number. RunFailed with sbatch's words where it refuses.

    tasks: what is called in the job in place of the submission's runs.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    cluster = submission.cluster
    tasks = tasks or [SlurmTask(str(submission.path), number) for number in range(len(submission.keys))]
    try:
        # sbatch's words are in the error, too
        with hidden_from_sbatch(cluster.shell_variables), contextlib.redirect_stderr(io.StringIO()):
            executor = submitit.SlurmExecutor(
                submission.logs, max_num_timeout=cluster.requeues, python=shlex.join(python(cluster))
            )
            executor.update_parameters(**parameters(submission))
            if len(tasks) == 1:
                return executor.submit(tasks[0]).job_id
            with executor.batch():
                jobs = [executor.submit(task) for task in tasks]
        return jobs[0].job_id.partition("_")[0]
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        said = [line for line in str(error).splitlines() if line.strip()]
        why = next((line for line in said if line.startswith("sbatch:")), said[-1] if said else type(error).__name__)
        many = "the run" if len(tasks) == 1 else f"the {len(tasks)} runs"
        raise RunFailed(
            f"SLURM refused {many}: {why.strip()}. Change cluster.* (or the file in slurm/) and give the same command "
            "again."
        ) from error


def script(submission: Submission) -> str:
    """Return the batch script that `submit` hands to sbatch, as submitit writes it. Needs no SLURM.

    A private function of submitit; tests/slurm/test_slurm.py holds what is shown against what was submitted.
    """
    from submitit.slurm.slurm import _make_sbatch_string

    command = shlex.join([*python(submission.cluster), "-u", "-m", "submitit.core._submit", str(submission.logs)])
    count = len(submission.keys)
    return _make_sbatch_string(
        command=command,
        folder=submission.logs,
        map_count=count if count > 1 else None,
        **parameters(submission),
    )


def python(cluster: ClusterConfig) -> list[str]:
    """Return the words that start Python in the job."""
    return [*cluster.container, sys.executable]


def parameters(submission: Submission) -> dict[str, Any]:
    """submitit's parameters for a submission's cluster settings."""
    cluster = submission.cluster
    exports = [f"export {name}={shlex.quote(value)}" for name, value in importing_from(submission.code).items()]
    # srun of Slurm 22.05 and later does not take the number over from sbatch: the run would have one core
    srun = [f"--cpus-per-task={cluster.cores}", *(["--kill-on-bad-exit=1"] if cluster.nodes > 1 else [])]
    found = {
        "job_name": submission.study,
        "comment": submission.comment,
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "time": max(1, round(cluster.hours * 60)),
        "nodes": cluster.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": cluster.cores,
        **_gpus(cluster),
        "mem": _memory(cluster),
        "signal_delay_s": round(cluster.grace or 0),
        "array_parallelism": cluster.max_parallel,
        "setup": [*cluster.setup, *exports],
        "teardown": outside_container.lines(submission) if cluster.container else None,
        "stderr_to_stdout": True,
        "srun_args": srun,
        "additional_parameters": {"requeue": True, **cluster.sbatch_options},
    }
    # submitit would ask for a wckey of its own, which a site that checks them refuses
    return {**{name: value for name, value in found.items() if value is not None}, "wckey": None}


def _gpus(cluster: ClusterConfig) -> dict[str, str]:
    """Return the option that asks for the GPUs of a node: `8` or `a100:8`; nothing for a run without, or where a
    site has no
    such option."""
    if not cluster.gpus or cluster.gpu_option == "none":
        return {}
    amount = ":".join(filter(None, (cluster.gpu_type, str(cluster.gpus))))
    return {"gres": f"gpu:{amount}"} if cluster.gpu_option == "gres" else {"gpus_per_node": amount}


def _memory(cluster: ClusterConfig) -> str | None:
    """Memory of one node: `300000MB`; `0`, which is all of it; None where nothing is asked for."""
    if cluster.memory is None:
        return None
    return f"{round(cluster.memory * 1000)}MB" if cluster.memory else "0"
