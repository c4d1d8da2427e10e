"""Runs one spec: starts the job, shows it, ends every process it left, and writes down how it ended."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import psutil
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from gapo_lab import metrics, provenance
from gapo_lab.errors import RunFailed, UserError
from gapo_lab.failure import failure_lines
from gapo_lab.progress import Progress, show_end
from gapo_lab.run_folder import Attempt, RunFolder
from gapo_lab.scratch import scratch_folder
from gapo_lab.spec import Spec
from gapo_lab.tracking.uri import command

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.5
# A job that is told to stop gets this long before it is killed.
PATIENCE_SECONDS = 5.0


class Interrupted(Exception):
    """SIGTERM or Ctrl-C: end the job, leave a run that can go on."""


def run(spec: Spec, config: DictConfig, console: Console | None = None) -> dict[str, float]:
    """Train `spec` to its end and return its summary; a finished run is only shown.

    Raises UserError when the folder is in use or belongs to another config, RunFailed when the job failed,
    Interrupted after Ctrl-C or SIGTERM. In every case no process is left.
    """
    console = console or Console()
    folder = RunFolder.open(Path(config.run_root), spec.key, spec.as_dict())
    if folder.is_finished:
        console.print(f"{spec.name}: finished already")
        show_end(folder, console, title=spec.name)
        return folder.summary()
    with folder.lock():
        resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
        folder.write_config(OmegaConf.to_yaml(resolved))
        attempt = folder.start_attempt()
        folder.write_provenance(provenance.collect(Path(__file__).parents[1]))
        console.print(f"{spec.name}   run {spec.key}, attempt {attempt.number}", highlight=False)
        _attempt(folder, attempt, console)
        show_end(folder, console, title=spec.name)
        return folder.summary()


def _attempt(folder: RunFolder, attempt: Attempt, console: Console) -> None:
    """One attempt, from the job's start until every process of it has ended."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, _raise_interrupted)
    started, follower = time.monotonic(), None
    with scratch_folder() as scratch, open(attempt.log_path, "ab") as log:
        words = [sys.executable, "-m", "gapo_lab.job", str(folder.path), str(attempt.number), str(scratch)]
        job = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               start_new_session=True, env=_environment())  # fmt: skip
        try:
            with Progress(folder, console) as progress:
                while job.poll() is None:
                    shot = progress.poll()
                    if follower is None and shot.step > 0:
                        # MLflow costs seconds of CPU to import: not while the run starts
                        follower = _follow(folder, log)
                    time.sleep(POLL_SECONDS)
                progress.poll()
        except (KeyboardInterrupt, Interrupted) as stop:
            folder.write_status(state="interrupted", message="stopped by the user",
                                remedy="the same command goes on from the last checkpoint")  # fmt: skip
            raise Interrupted("stopped; the same command goes on from the last checkpoint") from stop
        finally:
            # whatever happens here, also a second Ctrl-C, the processes are ended
            end_descendants(keep={follower.pid} if follower else set())
    if job.returncode == 0:
        summary = metrics.summary(folder.merged_metrics())
        folder.write_summary({**summary, "wall_seconds": time.monotonic() - started})
        folder.write_status(state="finished", message="", remedy="")
    else:
        _write_failure(folder, attempt, job.returncode)
    _end_following(follower or _follow(folder, subprocess.DEVNULL), folder, console)
    if job.returncode:
        status = folder.status()
        raise (UserError if job.returncode == 2 else RunFailed)(
            f"{status['message']}\nlog: {attempt.log_path}"
        )


def _write_failure(folder: RunFolder, attempt: Attempt, code: int) -> None:
    """status.json says why; the job may have said so itself."""
    said = folder.status()
    if said.get("state") == "failed":
        return
    log = attempt.log_path.read_text(encoding="utf-8", errors="replace")
    reason = "\n".join(failure_lines(log))
    if code < 0:
        reason = f"the job was killed by signal {-code} ({signal.Signals(-code).name})\n{reason}".rstrip()
    folder.write_status(state="failed", message=reason or f"the job ended with code {code}",
                        remedy="mend the cause and give the same command again")  # fmt: skip


def _environment() -> dict[str, str]:
    """Our package must be found by the job wherever the user stands."""
    here = str(Path(__file__).parents[1])
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}


def _follow(folder: RunFolder, log: object) -> subprocess.Popen:
    """Start the copier to MLflow, at the lowest priority."""
    words = [sys.executable, "-m", "gapo_lab.tracking.follow", str(folder.path)]
    return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                            start_new_session=True, env=_environment())  # fmt: skip


def _end_following(
    follower: subprocess.Popen, folder: RunFolder, console: Console, patience: float = 60.0
) -> None:
    """Let the copier finish; the run is safe in its folder if it cannot."""
    with console.status("copying to MLflow") if console.is_terminal else nullcontext():
        try:
            copied = follower.wait(patience) == 0
        except subprocess.TimeoutExpired:
            copied = False
            follower.kill()
            follower.wait()
    if not copied:
        later = command("sync", folder.key)
        console.print(
            f"MLflow could not be reached: nothing is lost; to copy the run later: {later}", soft_wrap=True
        )


def adopt_orphans() -> None:
    """Make processes whose parent has ended ours (Linux), so that none escapes `end_descendants`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(keep: set[int] = frozenset()) -> None:
    """End every process below this one, politely and then not; `keep` names pids to leave."""
    for kill in (psutil.Process.terminate, psutil.Process.kill):
        ours = [p for p in psutil.Process().children(recursive=True) if p.pid not in keep]
        for process in ours:
            try:
                kill(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(ours, timeout=PATIENCE_SECONDS)


def _raise_interrupted(*_) -> None:
    raise Interrupted("told to stop")
