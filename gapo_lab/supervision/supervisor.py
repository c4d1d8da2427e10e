"""The parent process of a training job: starts it, shows it, ends every process it left, records how it ended."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from gapo_lab.errors import STOPPED, USER_ERROR, Interrupted, RunFailed, UserError
from gapo_lab.runs import metrics, provenance
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.failure import REMEDIES, failure_cause, failure_lines
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.supervision.progress import Progress
from gapo_lab.supervision.watchdog import watched_scratch_folder
from gapo_lab.tracking.uri import command
from gapo_lab.utils.import_path import importing_from
from gapo_lab.utils.processes import PATIENCE_SECONDS, adopt_orphans, end_descendants
from gapo_lab.utils.scratch import MARK
from gapo_lab.utils.signals import raise_on_signals

POLL_SECONDS = 0.5
# After SIGTERM or a closed terminal, a job gets this long to finish its step and save.
GRACE_SECONDS = 20.0
# How a job's exit code says that it was ended by SIGTERM: it caught the signal, or it did not.
ENDED_BY_SIGTERM = (128 + signal.SIGTERM, -signal.SIGTERM)


class Supervisor:
    """Runs one run folder, which a submitter has prepared (spec.yaml, config.yaml), in a child process.

    code: the folder that the job imports this package from.

    Ctrl-C lets the job save a checkpoint after the step it is at. SIGTERM and SIGHUP do so for `GRACE_SECONDS`. A
    second signal ends it at once.
    """

    def __init__(self, folder: RunFolder, console: Console, code: Path) -> None:
        self.folder, self.console = folder, console
        self._environment = {**os.environ, **importing_from(code), "PYTHONUNBUFFERED": "1"}
        self._attempt: Attempt | None = None
        self._job: subprocess.Popen | None = None
        self._follower: subprocess.Popen | None = None

    def run(
        self,
        *,
        patience: float = 0.0,
        status: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Train to the end and return the summary.

        Raises UserError when another process holds the run, RunFailed when the job failed, Interrupted after Ctrl-C or
        SIGTERM. In every case no process is left.

        patience: seconds to wait for a process that still holds the run, such as one that is being ended elsewhere.
        status: fields of status.json beside the usual ones.
        origin: what the submitter knows of where the code comes from.
        """
        with self.folder.lock(patience):
            if not self.folder.is_finished:
                attempt = self.folder.start_attempt(**(status or {}))
                self.folder.write_provenance({**provenance.machine(), **(origin or {})})
                name = run_name(self.folder.spec)
                said = f"{name}   run {self.folder.key}, attempt {attempt.number}"
                self.console.print(said, highlight=False, soft_wrap=True)
                self._run(attempt)
        return self.folder.summary() or {}

    def save_and_stop(self, seconds: float) -> bool:
        """Tell the job to save after its step and to end; whether it did so in time. For a signal handler."""
        if self._job is None or self._attempt is None:
            return False
        self._attempt.stop_path.touch()
        until = time.monotonic() + seconds
        while self._job.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        return self._job.poll() == STOPPED

    # One attempt, from the job's start until every process of it has ended

    def _run(self, attempt: Attempt) -> None:
        adopt_orphans()
        raise_on_signals()
        folder, before, began = self.folder, self.folder.raw_status.get("wall_seconds", 0.0), time.monotonic()

        def wall() -> float:
            return before + time.monotonic() - began

        live, over = folder.config().get("tracking", "live") == "live", False
        with (
            watched_scratch_folder(self._environment) as (scratch, guard),
            open(attempt.log_path, "ab") as log,
        ):
            words = [
                sys.executable,
                "-m",
                "gapo_lab.training.job",
                str(folder.path),
                str(attempt.number),
                str(scratch),
            ]
            job = self._start(words, log, **{MARK: str(scratch)})
            self._attempt, self._job = attempt, job
            try:
                with Progress(folder, self.console) as progress:
                    try:
                        self._until_over(job, progress, log if live else None)
                    except (KeyboardInterrupt, Interrupted) as stop:
                        self._let_it_save(attempt, job, stop, progress)
                over = True
            except (KeyboardInterrupt, Interrupted) as stop:
                self._end_processes(guard)  # first: what it has saved until then counts
                raise self._interrupted(str(stop) or "stopped by Ctrl-C", wall()) from stop
            finally:
                # whatever happens here, also a third Ctrl-C, the processes are ended
                self._end_processes(guard)
                if self._follower and not over:
                    self._end_following(PATIENCE_SECONDS)
        self._conclude(attempt, job.returncode, wall(), live)

    def _start(self, words: list[str], log: IO | int, **extra: str) -> subprocess.Popen:
        return subprocess.Popen(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**self._environment, **extra},
        )

    def _until_over(self, job: subprocess.Popen, progress: Progress, log: IO | None, seconds: float = math.inf) -> bool:
        """Show the job until it has ended, or for ``seconds``; whether it has ended.

        log: where the copier to MLflow writes, which is started with the first step: importing MLflow costs seconds of
        CPU, which the start of a run should not pay for.
        """
        until = time.monotonic() + seconds
        while job.poll() is None:
            if time.monotonic() > until:
                return False
            shot = progress.poll()
            if log and self._follower is None and shot.trains:
                self._follow(log)
            with suppress(subprocess.TimeoutExpired):
                job.wait(POLL_SECONDS)
        progress.poll()
        return True

    def _let_it_save(self, attempt: Attempt, job: subprocess.Popen, stop: BaseException, progress: Progress) -> None:
        """Wait until the job has saved and ended. Raises ``stop`` again where it cannot save, or not in time."""
        status = self.folder.raw_status
        if job.poll() is None and not (status.get("can_save") and status.get("save", True)):
            raise stop
        attempt.stop_path.touch()
        by_hand = isinstance(stop, KeyboardInterrupt)
        limit = "Ctrl-C again ends it at once" if by_hand else f"waits {GRACE_SECONDS:.0f} s for it"
        progress.note(f"saves after this step, then ends ({limit})")
        if not self._until_over(job, progress, None, math.inf if by_hand else GRACE_SECONDS):
            raise stop
        # SLURM and a shutdown send SIGTERM to the job and its workers, too: how it dies of that is no failure of its
        # own
        if not by_hand and job.returncode not in (0, STOPPED):
            raise stop

    def _end_processes(self, guard: int) -> None:
        end_descendants(keep={guard, self._follower.pid} if self._follower else {guard})

    # How it ended

    def _conclude(self, attempt: Attempt, code: int, wall: float, live: bool) -> None:
        """Record how the job has ended by itself, copy the rest to MLflow, and raise where it did not finish."""
        folder, stopped = self.folder, None
        if code == 0:
            folder.write_summary({**metrics.summary(folder.merged_metrics()), "wall_seconds": wall})
            folder.write_status(state="finished", message="", remedy="", cause="", wall_seconds=wall)
        elif code == STOPPED:
            saved = f"after step {folder.resume_step()} (saved)"
            stopped = self._interrupted(f"{folder.raw_status.get('cause') or 'stopped'} {saved}", wall)
        elif code in ENDED_BY_SIGTERM:
            stopped = self._interrupted("the job was ended by SIGTERM", wall)
        else:
            self._write_failure(attempt, code, wall)
        folder.free_reserve()
        if live:
            if self._follower is None:
                self._follow(subprocess.DEVNULL)
            self._end_following()
        if stopped:
            raise stopped
        if code:
            message = f"{folder.raw_status['message']}\nlog: {attempt.log_path}"
            raise UserError(message) if code == USER_ERROR else RunFailed(message)

    def _interrupted(self, why: str, wall: float) -> Interrupted:
        """Record that the run was stopped; the exception that says so, and where the run resumes.

        Whoever ended it on purpose has said why, as its cause: cancelled, pruned at step 20.
        """
        cause = self.folder.raw_status.get("cause") or ""
        message = why if cause in why else cause
        self.folder.write_status(state="interrupted", message=message, remedy="", wall_seconds=wall)
        return Interrupted(f"{message}; {self.folder.status()['remedy']}")

    def _write_failure(self, attempt: Attempt, code: int, wall: float) -> None:
        """Record in status.json why the job failed; it may have said so itself."""
        folder = self.folder
        folder.free_reserve()
        log = attempt.log_path.read_text(encoding="utf-8", errors="replace")
        cause, said = failure_cause(log, code), folder.raw_status
        if said.get("state") == "failed":
            reason, remedy = said["message"], said.get("remedy") or REMEDIES[cause]
        else:
            reason, remedy = "\n".join(failure_lines(log)), REMEDIES[cause]
            if code < 0:
                by = f"the job was killed by signal {-code} ({signal.Signals(-code).name})"
                reason = f"{by}\n{reason}".rstrip()
            reason = reason or f"the job ended with code {code}"
        folder.write_status(
            state="failed", message=_named(cause, reason), cause=cause, remedy=remedy, wall_seconds=wall
        )

    # The copier to MLflow

    def _follow(self, log: IO | int) -> None:
        """Start it, at the lowest priority."""
        self._follower = self._start([sys.executable, "-m", "gapo_lab.tracking.live_copy", str(self.folder.path)], log)

    def _end_following(self, patience: float = 60.0) -> None:
        """Let it finish; the run is safe in its folder if it cannot."""
        if (follower := self._follower) is None:
            return
        with self.console.status("copying to MLflow") if self.console.is_terminal else nullcontext():
            try:
                copied = follower.wait(patience) == 0
            except subprocess.TimeoutExpired:
                copied = False
                follower.kill()
                follower.wait()
        if not copied:
            later = command("sync", self.folder.key)
            text = f"MLflow could not be reached: nothing is lost; to copy the run later: {later}"
            self.console.print(text, soft_wrap=True)


def _named(cause: str, reason: str) -> str:
    """The reason, with the cause before it where its lines do not name it."""
    return reason if cause in reason.lower() else f"{cause}\n{reason}"
