"""An attempt: one try at a run, and the files it writes. See `gapo_lab.runs.folder`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.runs.metrics import Choose, Row
from gapo_lab.utils import atomic_files


@dataclass(frozen=True)
class Attempt:
    """One try at a run. A run that was cut off goes on in the next attempt."""

    number: int
    path: Path

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def log_path(self) -> Path:
        return self.path / "train.log"

    @property
    def generations(self) -> Path:
        """Where sample generations go, one file a validation."""
        return self.path / "generations"

    @property
    def stop_path(self) -> Path:
        """While this file is there the run saves after its step and ends."""
        return self.path / "stop"

    def append_metrics(self, step: int, values: Mapping[str, float], now: float | None = None) -> None:
        """Add what was measured at ``step``; ``now`` is in Unix seconds. UserError when the disk is full."""
        row = Row(step, time.time() if now is None else now, values)
        atomic_files.append_line(self.metrics_path, row.to_json())

    def rows(self, choose: Choose = list) -> list[Row]:
        """Read the metrics file, all metrics or those chosen. A last line that is cut short (a crash) is ignored."""
        try:
            text = atomic_files.read_text(self.metrics_path, errors="replace")
        except FileNotFoundError:
            return []
        *whole, _cut = text.split("\n")
        return [self.row(number, line, choose) for number, line in enumerate(whole, 1)]

    def first_time(self) -> float | None:
        """Return the time (Unix seconds) of the first row; None where there is none."""
        try:
            with open(self.metrics_path, encoding="utf-8", errors="replace") as file:
                line = file.readline()
        except FileNotFoundError:
            return None
        return self.row(1, line[:-1]).time if line.endswith("\n") else None

    def row(self, number: int, line: str, choose: Choose = list) -> Row:
        """Read line ``number`` of the metrics file; UserError, naming it, where it is no row."""
        try:
            return Row.from_json(line, choose)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.metrics_path}:{number} is no metrics row ({line:.60}): "
                "remove the line or move the attempt's folder away"
            ) from error
