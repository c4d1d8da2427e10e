"""The run folder: everything one run left, in files a person can read. The source of truth."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapo_lab.errors import UserError
from gapo_lab.runs import checkpoints, config_text, kept_spec, metrics, naming, spec_file
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.kept_spec import Label
from gapo_lab.runs.metrics import Points
from gapo_lab.runs.resume import resume_step
from gapo_lab.runs.status import Cause, RunStatus, State
from gapo_lab.utils import atomic_files
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.processes import Process

if TYPE_CHECKING:  # imported where it is asked for: most commands ask for it of no run
    from gapo_lab.runs.provenance import Provenance

# Fields of status.json that stay from one attempt to the next: how the run came to be started.
CARRIED = ("submission", "task", "submitted", "wall_seconds", "idle_seconds", "total_steps")
# Bytes kept back while a run goes on, so that its status can still be written when the disk is full.
RESERVE = 32_768


class RunFolder:
    """A path, and nothing cached: every question reads the files as they are now."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def open(cls, root: Path, key: str, spec: Mapping[str, Any]) -> RunFolder:
        """Return the folder of run ``key``, made if need be; UserError when another config lives there."""
        folder = cls(Path(root) / key)
        atomic_files.make_folder(folder.path)
        mine, path = spec_file.plain(spec), folder.path / "spec.yaml"
        if not path.exists():
            if folder.attempts() or folder.is_finished:
                raise UserError(
                    f"{folder.path} holds a run but no spec.yaml, so nobody knows which. Move the folder away"
                )
            spec_file.write(path, mine)
            return folder
        if changed := spec_file.differences(spec_file.read(path, shared=True), mine):
            raise UserError(
                f"{folder.path} belongs to another config ({changed}). "
                "Move that folder away, or choose another run folder"
            )
        return folder

    @property
    def key(self) -> str:
        return self.path.name

    @property
    def spec(self) -> dict[str, Any]:
        return spec_file.read(self._at("spec.yaml"))

    @property
    def study(self) -> Any:
        """The study that its spec names; None where it names none."""
        return self.spec.get("study")

    @property
    def cell(self) -> str:
        """The id of its cell: `naming.cell_id`."""
        return naming.cell_id(self.spec)

    def label(self) -> Label:
        """Return what a table asks of its spec."""
        return kept_spec.label_of(self.spec)

    @property
    def is_finished(self) -> bool:
        return self.has("summary.json")

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of this name in the run folder."""
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Return the bytes of the file of this name in the run folder; None where there is none."""
        try:
            return os.stat(self._at(name)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _at(self, name: str) -> str:
        """Return where the file of this name in the run folder is."""
        return f"{self.path}/{name}"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    # Who runs it

    def lock(self, patience: float = 0.0) -> contextlib.AbstractContextManager[None]:
        """Be the only process that runs this folder; UserError when another one still does after
        ``patience`` seconds."""
        return atomic_files.owned(
            self.path / "run.lock",
            lambda owner: (
                f"run {self.key} is already being run by {owner}. See it with: "
                f"{lab_command('status', root=self.path.parent)}. Wait for it, or end that process."
            ),
            patience,
        )

    # Attempts and metrics

    def attempts(self) -> list[Attempt]:
        """All attempts, oldest first."""
        try:
            with os.scandir(self.path / "attempts") as entries:
                names = [one.name for one in entries if one.name.isascii() and one.name.isdigit() and one.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = (Attempt(int(name), self.path / "attempts" / name) for name in names)
        return sorted(found, key=lambda attempt: attempt.number)

    def next_attempt(self) -> Attempt:
        """Return the attempt that comes next, of which nothing is there yet."""
        number = max((attempt.number for attempt in self.attempts()), default=0) + 1
        return Attempt(number, self.path / "attempts" / str(number))

    def start_attempt(self, **fields: Any) -> Attempt:
        """Make the next attempt's folder and record, with ``fields`` of its status, that this process runs it now."""
        atomic_files.make_folder(self.path / "attempts")
        attempt = self.next_attempt()
        with atomic_files.writing(attempt.path):
            attempt.path.mkdir()
            attempt.generations.mkdir()
        atomic_files.write_text(self.path / "reserve", " " * RESERVE)
        now, before, step = time.time(), self.raw_status, self.resume_step()
        carried = {name: getattr(before, name) for name in CARRIED}
        begins = RunStatus(
            State.RUNNING, attempt=attempt.number, step=step, resumes_from=step, started=now, updated=now
        )
        self._replace_status(begins.changed(**{"process": Process.here(), **carried, **fields}))
        return attempt

    def resume_step(self) -> int:
        """Return the step that the next attempt resumes from; 0 where it starts anew."""
        saved = checkpoints.whole(self.checkpoints)
        return resume_step(saved, self.merged_metrics()) if saved else 0

    def merged_points(self, choose: metrics.Choose = list) -> Points:
        """Every attempt's metrics, all or those chosen, as one history, with times: see
        ``gapo_lab.runs.metrics.merge``."""
        return metrics.merge(attempt.rows(choose) for attempt in self.attempts())

    def merged_metrics(self, choose: metrics.Choose = list) -> dict[int, dict[str, float]]:
        """``{step: {metric: value}}``, the last attempt winning: see ``gapo_lab.runs.metrics.merge``."""
        return metrics.values(self.merged_points(choose))

    def started(self) -> float | None:
        """When the run first measured something, else when its last attempt began (Unix seconds)."""
        times = (attempt.first_time() for attempt in self.attempts())
        return next((time for time in times if time is not None), None) or self.raw_status.started

    # Status

    def status(self) -> RunStatus:
        """How the run stands.

        A finished run (summary.json is there) is finished whatever status.json says. A running one whose process no
        longer lives on this machine reads as interrupted.
        """
        status = self.raw_status
        if self.is_finished:
            return status if status.state is State.FINISHED else status.changed(state=State.FINISHED)
        if status.state is State.FINISHED:
            status = status.changed(state=State.INTERRUPTED, cause=Cause.GONE, message="its summary.json is missing")
        elif status.is_gone:
            why = (
                "its process died without a message (killed?)"
                if status.state is State.RUNNING
                else "the process that queued it has ended"
            )
            status = status.changed(state=State.INTERRUPTED, cause=Cause.GONE, message=why, remedy="")
        return self.stopped(status) if status.has_stopped else status

    def stopped(self, status: RunStatus) -> RunStatus:
        """Add to the status of this run, which has stopped, where its next attempt begins.

        status.json does not say so itself: it would be wrong after the next checkpoint.
        """
        return status.changed(resumes_from=self.resume_step())

    @property
    def raw_status(self) -> RunStatus:
        """What status.json says, word for word."""
        return self._status_of(self._status_json())

    def _status_of(self, raw: Any) -> RunStatus:
        try:
            return RunStatus.from_json(raw or {})
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{self._status_path} holds no status ({error}). Move the file away") from error

    def _status_json(self) -> Any:
        return atomic_files.read_json(self._at("status.json"))

    def queue(self, **changes: Any) -> None:
        """Record that the run waits to be started; what an earlier attempt said is forgotten."""
        now, before = time.time(), self.raw_status
        step = self.resume_step() if before.attempt else 0
        waits = RunStatus(State.QUEUED, submitted=now, updated=now, step=step)
        kept = {name: getattr(before, name) for name in ("wall_seconds", "idle_seconds", "total_steps", "attempt")}
        self._replace_status(waits.changed(**{**kept, **changes}))

    def write_status(self, **changes: Any) -> None:
        """Change fields of status.json, atomically; the others stay."""
        self._change_status(lambda old: changes)

    def report(self, message: str = "", **changes: Any) -> None:
        """Update progress from inside the job. Leaves the message of a run that is being cancelled as it is."""

        def change(old: RunStatus) -> dict[str, Any]:
            heard = message and old.state in (State.NEW, State.RUNNING)
            return changes | ({"message": message} if heard else {})

        self._change_status(change)

    def restore(self, status: RunStatus) -> None:
        """Put status.json back to what `raw_status` said before."""
        if status.state is State.NEW:
            self._status_path.unlink(missing_ok=True)
        else:
            self._replace_status(status)

    def _change_status(self, change: Callable[[RunStatus], Mapping[str, Any]]) -> None:
        with atomic_files.locked(self.path / "status.lock"):
            old = self.raw_status
            new = old.changed(**{"updated": time.time(), **change(old)})
            atomic_files.write_json(self._status_path, new.to_json())

    def _replace_status(self, status: RunStatus) -> None:
        with atomic_files.locked(self.path / "status.lock"):
            atomic_files.write_json(self._status_path, status.to_json())

    @property
    def _status_path(self) -> Path:
        return self.path / "status.json"

    # What a run leaves

    def summary(self) -> dict[str, Any] | None:
        """summary.json, None before the run has finished; UserError where it is not numbers by name."""
        path = self._at("summary.json")
        found = atomic_files.read_json(path)
        numbers = found.values() if isinstance(found, dict) else [found]
        if found is not None and not all(isinstance(value, (int, float)) for value in numbers):
            raise UserError(f"{path} is no summary, numbers by name. Fix it or move the folder away")
        return found

    def numbers(self) -> dict[str, Any]:
        """Return the run in a few numbers: its summary, or what that would be if it ended now."""
        if (found := self.summary()) is not None:
            return found
        return metrics.summary(self.merged_metrics(metrics.of_summary), self.config_values(["metric"]).get("metric"))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json: from now on the run is finished."""
        atomic_files.write_json(self.path / "summary.json", dict(summary))

    def provenance(self) -> Provenance:
        """How the run came about; empty before its first attempt."""
        from gapo_lab.runs.provenance import Provenance

        return Provenance.from_json(atomic_files.read_json(self.path / "provenance.json") or {})

    def write_provenance(self, provenance: Provenance) -> None:
        atomic_files.write_json(self.path / "provenance.json", provenance.to_json())

    def write_config(self, text: str) -> None:
        """Write config.yaml: verl's whole config, as resolved."""
        atomic_files.write_text(self.path / "config.yaml", text)

    def config(self) -> dict[str, Any]:
        """config.yaml as plain values; {} where there is none."""
        return config_text.whole(self.path / "config.yaml")

    def config_values(self, keys: Collection[str]) -> dict[str, Any]:
        """Return the values at a few dotted keys of config.yaml, found without parsing all of it."""
        return config_text.some(self.path / "config.yaml", keys)

    def data_folder(self) -> Path | None:
        """Return the prepared data that data.json names, as seen from here or from where the run folders lie.

        None where they are not on this machine.
        """
        named = (atomic_files.read_json(self.path / "data.json") or {}).get("folder")
        places = (Path(named), self.path.parent.parent / named) if named else ()
        return next((place for place in places if place.is_dir()), None)

    def free_reserve(self) -> None:
        """Give back what was kept for a full disk."""
        (self.path / "reserve").unlink(missing_ok=True)
