"""Stands where verl expects its logger and writes every step into the run folder, as it happens."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from gapo_lab.errors import STOPPED
from gapo_lab.runs import metrics
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils import atomic_files

# the phase in which a run can be told to save and stop
TRAINING = "training"
# the phase in which it does not train
VALIDATING = "validating"


class Stopped(Exception):
    """The run has saved and can go on. code: the job's exit code, STOPPED where it was asked to stop, else RESUME."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NotWanted(Exception):
    """Nobody has asked for the attempt that this job got ready for."""


class Recorder:
    """`log` and `finish` as verl calls them, `phase` and `total_steps` for the progress line.

    Where the attempt's seconds went is kept in its timing.json: one number a phase, and `recording` for what
    this object itself took out of them.

    wait: where the job gets ready before there is an attempt, what waits for it; it raises NotWanted where none comes.
    Until then nothing is written.
    """

    def __init__(self, folder: RunFolder, attempt: Attempt, wait: Callable[[], None] | None = None):
        self.folder = folder
        self.attempt = attempt
        self._wait = wait
        self._to_do: list[Callable[[], None]] = []
        # verl's own logger: what `trainer.logger` asks for still gets everything
        self.behind: Any = None
        self.seconds: dict[str, float] = defaultdict(float)
        self._last: int | None = None
        self._code = STOPPED
        self._phase, self._since = "", time.monotonic()

    @property
    def has_begun(self) -> bool:
        return self._wait is None

    def begin(self) -> None:
        """Let the attempt begin: nothing of it stands in the run folder before. Waits until somebody asks for it."""
        if self._wait:
            self._wait()
            self._wait = None
        while self._to_do:
            self._to_do.pop(0)()

    def at_begin(self, call: Callable[[], None]) -> None:
        """Call this when the attempt begins; at once if it has."""
        self._to_do.append(call)
        if self.has_begun:
            self.begin()

    def log(self, data: dict[str, Any], step: int) -> None:
        """One step's metrics, under the names that stand."""
        began = time.monotonic()
        self.attempt.append_metrics(step, metrics.standard(data))
        self.folder.report(step=step)
        self.seconds["recording"] += time.monotonic() - began
        if self.behind is not None:
            self.behind.log(data=data, step=step)
        if step == self._last:
            raise Stopped(f"stopped after step {step}, which is saved", self._code)

    def stop_after(self, step: int, code: int = STOPPED) -> None:
        """End the job, by `Stopped` with this exit code, once this step is recorded."""
        self._last, self._code = step, code

    def stops_after(self, step: int) -> bool:
        """Return whether the job ends after this step."""
        return self._last == step

    def finish(self, exit_code: int = 0) -> None:
        if self.behind is not None:
            self.behind.finish(exit_code=exit_code)
        self.end_phase()

    def phase(self, text: str) -> None:
        """Note what the run is doing, in a word or two."""
        if text != self._phase and self.has_begun:
            self.end_phase()
            self._phase = text
            self.folder.report(text, **({"can_save": True} if text == TRAINING else {}))

    def say(self, text: str) -> None:
        """Note how the phase goes."""
        if self.has_begun:
            self.folder.report(text)

    def total_steps(self, steps: int) -> None:
        self.folder.report(total_steps=steps)

    def end_phase(self) -> None:
        """Nothing goes on until the next `phase`; timing.json knows of all that was."""
        now = time.monotonic()
        if self._phase:
            self.seconds[self._phase] += now - self._since
            atomic_files.write_json(
                self.attempt.path / "timing.json", {k: round(v, 3) for k, v in self.seconds.items()}
            )
        self._phase, self._since = "", now
