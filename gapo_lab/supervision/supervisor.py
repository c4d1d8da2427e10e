"""The parent process of a training job: starts it, shows it, ends every process it left, records how it ended."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from gapo_lab.errors import RESUME, STOPPED, USER_ERROR, Interrupted, RunFailed, UserError
from gapo_lab.planning import user_files
from gapo_lab.runs import checkpoints, metrics, naming
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.checkpoints import Keep
from gapo_lab.runs.failure import REMEDIES, failure_cause, failure_lines
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.provenance import Machine, Origin, Provenance
from gapo_lab.runs.status import Cause, State
from gapo_lab.supervision.copier_process import CopierProcess
from gapo_lab.supervision.job_process import Forks, Job, NewPrograms
from gapo_lab.supervision.progress import Progress
from gapo_lab.utils.import_path import importing_from
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.processes import PATIENCE_SECONDS, adopt_orphans, end_descendants
from gapo_lab.utils.prose import say
from gapo_lab.utils.stop_signals import raise_on_signals

POLL_SECONDS = 0.5
# After SIGTERM or a closed terminal, a job gets this long to finish its step and save.
GRACE_SECONDS = 20.0
# How a job's exit code says that it was ended by SIGTERM: it caught the signal, or it did not.
ENDED_BY_SIGTERM = (128 + signal.SIGTERM, -signal.SIGTERM)


class Supervisor:
    """Runs one run folder, which a submitter has prepared (spec.yaml, config.yaml), in a child process.

    code: the folder that the job imports this package from.
    is_warm: whether this process has imported what a job imports, so that its jobs are forks of it.

    Ctrl-C lets the job save a checkpoint after the step it is at. SIGTERM and SIGHUP do so for `GRACE_SECONDS`. A
    second signal ends it at once.
    """

    def __init__(self, folder: RunFolder, console: Console, code: Path, is_warm: bool = False) -> None:
        self.folder, self.console = folder, console
        self._environment = {
            **os.environ,
            **importing_from(code, user_files.imported(folder.path)),
            "PYTHONUNBUFFERED": "1",
        }
        self._is_warm = is_warm
        self._jobs = Forks(folder, self._environment) if is_warm else NewPrograms(folder, self._environment)
        self._job: Job | None = None
        self._copier: CopierProcess | None = None
        self._began = self._before = 0.0

    def run(
        self,
        *,
        patience: float = 0.0,
        status: Mapping[str, Any] | None = None,
        origin: Origin | None = None,
    ) -> None:
        """Train to the end.

        Raises UserError when another process holds the run, RunFailed when the job failed, Interrupted after Ctrl-C or
        SIGTERM. In every case no process is left.

        patience: seconds to wait for a process that still holds the run, such as one that is being ended elsewhere.
        status: fields of status.json beside the usual ones.
        origin: what the submitter knows of where the code comes from.
        """
        with self.folder.lock(patience):
            if self.folder.is_finished:
                return
            self._began, self._before = time.monotonic(), self.folder.raw_status.wall_seconds
            is_over = False
            while not is_over:
                attempt = self.folder.start_attempt(**(status or {}))
                self.folder.write_provenance(Provenance(origin or Origin(), Machine.here()))
                name = run_name(self.folder.spec)
                said = f"{name}   run {self.folder.key}, attempt {attempt.number}"
                say(self.console, said)
                is_over = self._run(attempt)

    def ahead(self) -> AbstractContextManager[None]:
        """While the block runs, the job of the next attempt gets ready; one that is not used then ends with it."""
        return self._jobs.ahead()

    def save_and_stop(self, seconds: float) -> bool:
        """Tell the job to save after its step and to end; whether it did so in time. For a signal handler."""
        if self._job is None:
            return False
        self._job.ask_to_save()
        until = time.monotonic() + seconds
        while self._job.code is None and time.monotonic() < until:
            time.sleep(0.2)
        return self._job.code == STOPPED

    # One attempt, from the job's start until every process of it has ended

    def _run(self, attempt: Attempt) -> bool:
        """Whether the run is over; else it has saved and the next attempt resumes it."""
        adopt_orphans()
        raise_on_signals()
        live, over = self.folder.config().get("tracking", "live") == "live", False
        with (
            open(attempt.log_path, "ab") as log,
            self._jobs.started(attempt, log) as (job, guard),
        ):
            self._job = job
            try:
                with Progress(self.folder, self.console) as progress:
                    try:
                        self._until_over(job, progress, log if live else None)
                    except (KeyboardInterrupt, Interrupted) as stop:
                        self._let_it_save(job, stop, progress)
                over = True
            except (KeyboardInterrupt, Interrupted) as stop:
                self._end_processes(guard)  # first: what it has saved until then counts
                raise self._interrupted(_why(stop)) from stop
            finally:
                # whatever happens here, also a third Ctrl-C, the processes are ended
                self._end_processes(guard)
                if self._copier and not over:
                    self._copier.finish(self.console, PATIENCE_SECONDS)
        return self._conclude(job, live)

    def _until_over(self, job: Job, progress: Progress, log: IO | None = None, seconds: float = math.inf) -> bool:
        """Show the job until it has ended, or for ``seconds``; whether it has ended.

        log: where the copier to MLflow writes, which is started with the first step: importing MLflow costs seconds of
        CPU, which the start of a run should not pay for.
        """
        until = time.monotonic() + seconds
        while job.code is None:
            if time.monotonic() > until:
                return False
            shot = progress.poll()
            if log and self._copier is None and shot.trains:
                self._copier = CopierProcess(self.folder, self._environment, log, self._is_warm)
            job.wait(POLL_SECONDS)
        progress.poll()
        return True

    def _let_it_save(self, job: Job, stop: BaseException, progress: Progress) -> None:
        """Wait until the job has saved and ended. Raises ``stop`` again where it cannot save, or not in time."""
        status = self.folder.raw_status
        if job.code is None and not (status.can_save and status.save):
            raise stop
        job.ask_to_save()
        by_hand = isinstance(stop, KeyboardInterrupt)
        limit = "Ctrl-C again ends it at once" if by_hand else f"waits {GRACE_SECONDS:.0f} s for it"
        progress.note(f"saves after this step, then ends ({limit})")
        if not self._until_over(job, progress, seconds=math.inf if by_hand else GRACE_SECONDS):
            raise stop
        # SLURM and a shutdown send SIGTERM to the job and its workers, too: how it dies of that is no failure of its
        # own
        if not by_hand and job.code not in (0, STOPPED):
            raise stop

    def _end_processes(self, guard: int) -> None:
        end_descendants(keep={guard, self._copier.pid} if self._copier else {guard})

    # How it ended

    def _conclude(self, job: Job, live: bool) -> bool:
        """Record how the job has ended by itself and copy the rest to MLflow. Whether the run is over; raises where it
        did not finish."""
        folder, code = self.folder, job.code or 0
        stopped = None
        if code == 0:
            found = metrics.summary(folder.merged_metrics(), folder.config().get("metric"))
            folder.write_summary({**found, "wall_seconds": self._wall})
            folder.write_status(state=State.FINISHED, message="", remedy="", cause=Cause.NONE, wall_seconds=self._wall)
            with suppress(OSError):  # the run is finished all the same; `gc` removes the rest
                checkpoints.retain(folder.checkpoints, Keep.of(folder.config()))
        elif code == STOPPED:
            why = folder.raw_status.ended_for or "stopped"
            stopped = self._interrupted(f"{why} after step {folder.resume_step()} (saved)")
        elif code == RESUME:
            self.console.print(f"saved after step {folder.resume_step()} and ended; goes on", highlight=False)
            return False
        elif code in ENDED_BY_SIGTERM:
            stopped = self._interrupted("the job was ended by SIGTERM")
        else:
            self._write_failure(job.attempt, code)
        folder.free_reserve()
        if live:
            copier = self._copier or CopierProcess(folder, self._environment, subprocess.DEVNULL, self._is_warm)
            copier.finish(self.console)
        if stopped:
            raise stopped
        if code:
            message = f"{folder.raw_status.message}\nlog: {job.attempt.log_path}"
            raise UserError(message) if code == USER_ERROR else RunFailed(message)
        return True

    @property
    def _wall(self) -> float:
        """Seconds that the run has taken, over all attempts."""
        return self._before + time.monotonic() - self._began

    @property
    def _times(self) -> dict[str, float]:
        """What status.json says of the time that it took, where it has stopped."""
        now = self.folder.raw_status
        idle = time.time() - (now.started or time.time()) if now.step <= now.resumes_from else 0.0
        return {"wall_seconds": self._wall, "idle_seconds": now.idle_seconds + idle}

    def _interrupted(self, why: str) -> Interrupted:
        """Record that the run was stopped; the exception that says so, and where the run resumes.

        Whoever ended it on purpose has said what for: cancelled, pruned at step 20.
        """
        ended_for = self.folder.raw_status.ended_for
        message = why if ended_for in why else ended_for
        self.folder.write_status(state=State.INTERRUPTED, message=message, remedy="", **self._times)
        return Interrupted(f"{message}; {self.folder.status().advice(self.folder.key, self.folder.path.parent)}")

    def _write_failure(self, attempt: Attempt, code: int) -> None:
        """Record in status.json why the job failed; it may have said so itself."""
        folder = self.folder
        folder.free_reserve()
        log = attempt.log_path.read_text(encoding="utf-8", errors="replace")
        cause, said = failure_cause(log, code), folder.raw_status
        if said.state is State.FAILED:
            reason, remedy = said.message, said.remedy or REMEDIES[cause]
        else:
            reason, remedy = "\n".join(failure_lines(log, tail=code >= 0)), REMEDIES[cause]
            if code < 0:
                by = f"the job was killed by signal {-code} ({signal.Signals(-code).name}) after step {said.step}"
                reason = f"{by}\n{reason}".rstrip()
            reason = reason or f"the job ended with code {code}"
        if remedy == REMEDIES[Cause.NONE] and (files := naming.texts(folder.spec)):
            removed = lab_command("forget", folder.key, "--with-results", root=folder.path.parent)
            remedy += f" (an edit of {' or '.join(files)} makes another run; then remove this one: {removed})"
        # its lines may not name the cause
        message = reason if cause in reason.lower() else f"{cause}\n{reason}"
        folder.write_status(state=State.FAILED, message=message, cause=cause, remedy=remedy, **self._times)


def _why(stop: BaseException) -> str:
    """Say what ended a run: also the sweep's second Ctrl-C, which comes as SIGTERM while the first is handled."""
    by_hand = isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt)
    return "stopped by Ctrl-C" if by_hand else str(stop)
