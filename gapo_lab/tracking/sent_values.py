"""What a copier has sent of a run that goes on, so that its next look reads and sends only what is new."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import AttemptReader
from gapo_lab.runs.metrics import Row
from gapo_lab.tracking.mapping import Copied


class SentPoints(NamedTuple):
    """What one copier has sent to one MLflow run, to go on from: the mark, the last step, and who read the rows."""

    run_id: str
    mark: Copied
    last_step: int
    readers: list[AttemptReader]

    def new_rows(self, folder: RunFolder) -> list[Row] | None:
        """Return the rows since; None where they are not simply more: another attempt, a summary, a step that was
        there."""
        attempts = [reader.attempt for reader in self.readers]
        if not attempts or folder.attempts() != attempts or folder.is_finished or self.mark.summary:
            return None
        read = [reader.new_rows() for reader in self.readers]
        if any(rows != [] for rows in read[:-1]) or (new := read[-1]) is None:
            return None
        steps = [self.last_step, *(row.step for row in new)]
        return new if all(one < other for one, other in pairwise(steps)) else None
