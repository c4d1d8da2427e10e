"""Runs one spec: starts the job, shows it, ends every process it left, and writes down how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from gapo_lab.errors import STOPPED_ITSELF, Interrupted, RunFailed, UserError
from gapo_lab.paths import IMPORT_ROOT
from gapo_lab.planning.spec import Spec
from gapo_lab.runs import metrics, provenance
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.failure import REMEDIES, failure_cause, failure_lines
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.supervision.progress import Progress, show_end
from gapo_lab.supervision.watchdog import watched_scratch_folder
from gapo_lab.tracking.uri import command
from gapo_lab.utils.processes import PATIENCE_SECONDS, adopt_orphans, end_descendants
from gapo_lab.utils.scratch import MARK
from gapo_lab.utils.signals import raise_interrupted

POLL_SECONDS = 0.5


# The attempt and the process that run now, for `save_and_stop`, which a signal calls.
_current: tuple[Attempt, subprocess.Popen] | None = None


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
        if folder.is_finished:  # by another process, since the first look
            return folder.summary()
        resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
        folder.write_config(OmegaConf.to_yaml(resolved))
        _locked(folder, console, spec.name, {}, lambda: provenance.collect(IMPORT_ROOT))
        show_end(folder, console, title=spec.name)
        return folder.summary()


def work(
    folder: RunFolder,
    console: Console,
    *,
    patience: float = 0.0,
    status: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """As `run`, for a run folder that a submitter has prepared (spec.yaml, config.yaml); same errors.

    patience: seconds to wait for a process that still holds the run, such as one that is being ended elsewhere.
    status: fields of status.json beside the usual ones.
    origin: what the submitter knows of where the code comes from; it wins over what can be seen here.
    """
    with folder.lock(patience):
        if not folder.is_finished:
            _locked(folder, console, run_name(folder.spec), status or {},
                    lambda: {**provenance.collect(IMPORT_ROOT), **(origin or {})})  # fmt: skip
    return folder.summary()


def _locked(
    folder: RunFolder, console: Console, name: str, status: Mapping[str, Any], origin: Callable[[], dict]
) -> None:
    """The next attempt, by the process that holds the run."""
    attempt = folder.start_attempt(**status)
    folder.write_provenance(origin())
    console.print(f"{name}   run {folder.key}, attempt {attempt.number}", highlight=False)
    _attempt(folder, attempt, console)


def _attempt(folder: RunFolder, attempt: Attempt, console: Console) -> None:
    """One attempt, from the job's start until every process of it has ended."""
    global _current
    adopt_orphans()
    signal.signal(signal.SIGTERM, raise_interrupted)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # the terminal is gone; under nohup that is nothing
        signal.signal(signal.SIGHUP, raise_interrupted)
    started, before, follower = time.monotonic(), folder.raw_status.get("wall_seconds", 0.0), None
    live = folder.config().get("tracking", "live") == "live"
    environment = _environment()
    with watched_scratch_folder(environment) as (scratch, guard), open(attempt.log_path, "ab") as log:
        words = [
            sys.executable,
            "-m",
            "gapo_lab.training.job",
            str(folder.path),
            str(attempt.number),
            str(scratch),
        ]
        job = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               start_new_session=True, env={**environment, MARK: str(scratch)})  # fmt: skip
        _current, over = (attempt, job), False
        try:
            with Progress(folder, console) as progress:
                while job.poll() is None:
                    shot = progress.poll()
                    if live and follower is None and shot.step > 0:
                        # MLflow costs seconds of CPU to import: not while the run starts
                        follower = _follow(folder, log)
                    _wait(job, POLL_SECONDS)
                progress.poll()
            over = True
        except (KeyboardInterrupt, Interrupted) as stop:
            # whoever ended it on purpose has said why: cancelled, pruned at step 20
            cause = folder.raw_status.get("cause")
            folder.write_status(state="interrupted", message=cause or str(stop) or "stopped by the user",
                                remedy="the same command goes on from the last checkpoint",
                                wall_seconds=before + time.monotonic() - started)  # fmt: skip
            raise Interrupted("stopped; the same command goes on from the last checkpoint") from stop
        finally:
            _current = None
            # whatever happens here, also a second Ctrl-C, the processes are ended
            end_descendants(keep={guard, follower.pid} if follower else {guard})
            if follower and not over:
                _end_following(follower, folder, console, PATIENCE_SECONDS)
    wall = before + time.monotonic() - started
    if job.returncode == 0:
        summary = metrics.summary(folder.merged_metrics())
        folder.write_summary({**summary, "wall_seconds": wall})
        folder.write_status(state="finished", message="", remedy="", cause="", wall_seconds=wall)
    elif job.returncode == STOPPED_ITSELF:
        folder.write_status(state="interrupted", message="stopped after a checkpoint", wall_seconds=wall)
    else:
        _write_failure(folder, attempt, job.returncode, wall)
    folder.free_reserve()
    if live:
        _end_following(follower or _follow(folder, subprocess.DEVNULL), folder, console)
    if job.returncode == STOPPED_ITSELF:
        raise Interrupted("stopped after a checkpoint; the same command goes on from there")
    if job.returncode:
        status = folder.status()
        raise (UserError if job.returncode == 2 else RunFailed)(
            f"{status['message']}\nlog: {attempt.log_path}"
        )


def _wait(job: subprocess.Popen, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        job.wait(seconds)


def save_and_stop(seconds: float) -> bool:
    """Ask the job that runs now to save after the step it is at and to end; whether it did so in time."""
    if _current is None:
        return False
    attempt, job = _current
    attempt.stop_path.touch()
    until = time.monotonic() + seconds
    while job.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    return job.poll() == STOPPED_ITSELF


def _write_failure(folder: RunFolder, attempt: Attempt, code: int, wall: float) -> None:
    """status.json says why; the job may have said so itself."""
    folder.free_reserve()
    log = attempt.log_path.read_text(encoding="utf-8", errors="replace")
    cause = failure_cause(log, code)
    said = folder.status()
    if said.get("state") == "failed":
        remedy = said.get("remedy") or REMEDIES[cause]
        folder.write_status(
            cause=cause, remedy=remedy, wall_seconds=wall, message=_named(cause, said["message"])
        )
        return
    reason = "\n".join(failure_lines(log))
    if code < 0:
        reason = f"the job was killed by signal {-code} ({signal.Signals(-code).name})\n{reason}".rstrip()
    reason = reason or f"the job ended with code {code}"
    folder.write_status(state="failed", message=_named(cause, reason), cause=cause,
                        remedy=REMEDIES[cause], wall_seconds=wall)  # fmt: skip


def _named(cause: str, reason: str) -> str:
    """The reason, with the cause before it where its lines do not name it."""
    return reason if cause in reason.lower() else f"{cause}\n{reason}"


def _environment() -> dict[str, str]:
    """Our package must be found by the job wherever the user stands."""
    paths = [str(IMPORT_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}


def _follow(folder: RunFolder, log: object) -> subprocess.Popen:
    """Start the copier to MLflow, at the lowest priority."""
    words = [sys.executable, "-m", "gapo_lab.tracking.live_copy", str(folder.path)]
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
