"""SLURM through submitit: one job array for the runs that ask for the same resources."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
from typing import Any

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.launch.submission import Submission
from gapo_lab.launch.worker import Task
from gapo_lab.planning.cluster import ClusterConfig
from gapo_lab.utils.import_path import importing_from


def require() -> None:
    """UserError where this machine has no SLURM."""
    if shutil.which("sbatch") is None:
        raise UserError(
            "cluster=slurm: sbatch is not on this machine; run it on a login node, leave cluster=slurm out, or try "
            "slurm/dev-cluster up"
        )


def submit(submission: Submission) -> str:
    """Hand the submission to SLURM with one sbatch; its job number. RunFailed with sbatch's words where it refuses."""
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    cluster = submission.cluster
    executor = submitit.SlurmExecutor(
        submission.logs, max_num_timeout=cluster.requeues, python=shlex.join(python(cluster))
    )
    executor.update_parameters(**parameters(submission))
    tasks = [Task(str(submission.path), number) for number in range(len(submission.keys))]
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # sbatch's words are in the error, too
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


def python(cluster: ClusterConfig) -> list[str]:
    """The words that start Python in the job."""
    return [*cluster.container, sys.executable]


def parameters(submission: Submission) -> dict[str, Any]:
    """submitit's parameters for a submission's cluster settings."""
    cluster = submission.cluster
    gpus, nodes = cluster.gpus or 0, cluster.nodes
    exports = [f"export {name}={shlex.quote(value)}" for name, value in importing_from(submission.code).items()]
    found = {
        "job_name": submission.study,
        "comment": submission.comment,
        "partition": cluster.partition,
        "account": cluster.account,
        "qos": cluster.qos,
        "constraint": cluster.constraint,
        "time": max(1, round(cluster.hours * 60)),
        "nodes": nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": gpus * cluster.cpus_per_gpu if gpus else cluster.cpus,
        "gpus_per_node": gpus or None,
        "mem": f"{round(cluster.memory * 1000)}MB" if cluster.memory else None,
        "signal_delay_s": cluster.grace,
        "array_parallelism": cluster.max_parallel,
        "setup": [*cluster.setup, *exports],
        "stderr_to_stdout": True,
        "srun_args": ["--kill-on-bad-exit=1"] if nodes > 1 else None,
        "additional_parameters": {"requeue": True, **cluster.sbatch},
    }
    # submitit sends --wckey=submitit where it is not told otherwise, which a site that checks keys refuses
    return {name: value for name, value in found.items() if value is not None} | {"wckey": None}
