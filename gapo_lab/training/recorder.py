"""Stands where verl expects its logger and writes every step into the run folder, as it happens."""

from __future__ import annotations

from typing import Any

from gapo_lab import metrics
from gapo_lab.run_folder import Attempt, RunFolder


class Recorder:
    """`log` and `finish` as verl calls them, `phase` and `total_steps` for the progress line."""

    def __init__(self, folder: RunFolder, attempt: Attempt):
        self.folder = folder
        self.attempt = attempt
        # verl's own logger: what `trainer.logger` asks for still gets everything
        self.behind: Any = None
        self._phase = ""

    def log(self, data: dict[str, Any], step: int) -> None:
        """One step's metrics, under the names that stand."""
        self.attempt.append_metrics(step, metrics.standard(data))
        self.folder.write_status(step=step)
        if self.behind is not None:
            self.behind.log(data=data, step=step)

    def finish(self, exit_code: int = 0) -> None:
        if self.behind is not None:
            self.behind.finish(exit_code=exit_code)

    def phase(self, text: str) -> None:
        """What the run is doing, in a word or two."""
        if text != self._phase:
            self._phase = text
            self.folder.write_status(message=text)

    def total_steps(self, steps: int) -> None:
        self.folder.write_status(total_steps=steps)
