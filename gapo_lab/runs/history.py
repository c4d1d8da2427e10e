"""The metrics of a run that goes on, read as they come: each look reads only what was written since the last."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.metrics import Choose, Point, Points, Row

# Bytes that are read again, to see that the file is still the one that was read.
TAIL = 64


class AttemptReader:
    """Reads the rows of one attempt's metrics file, each once."""

    def __init__(self, attempt: Attempt, choose: Choose = list) -> None:
        self.attempt, self._choose = attempt, choose
        self._seen: tuple[int, int, int] | None = None  # inode, size and time of change at the last look
        self._offset = self._lines = 0
        self._tail = b""  # what stands just before the offset

    def new_rows(self) -> list[Row] | None:
        """Return the rows that were written since the last call; None where the file is no longer the one that was
        read.

        A last line that is not whole yet is left for the next call. Raises UserError for a line that is no row.
        """
        try:
            with open(self.attempt.metrics_path, "rb") as file:
                about = os.fstat(file.fileno())
                now = (about.st_ino, about.st_size, about.st_mtime_ns)
                if now == self._seen:
                    return []
                file.seek(self._offset - len(self._tail))
                written = file.read()
        except FileNotFoundError:
            return [] if self._seen is None else None
        if (self._seen and now[0] != self._seen[0]) or not written.startswith(self._tail):
            return None
        written = written[len(self._tail) :]
        whole = written[: written.rfind(b"\n") + 1]
        lines = whole.decode("utf-8", errors="replace").split("\n")[:-1]
        rows = [self.attempt.row(number, line, self._choose) for number, line in enumerate(lines, self._lines + 1)]
        self._seen = now
        self._offset += len(whole)
        self._lines += len(lines)
        self._tail = (self._tail + whole)[-TAIL:]
        return rows


class History:
    """`RunFolder.merged_points` of a run that grows.

    choose: the metrics that are kept; of a run of thousands of steps all of them take a hundred megabytes. `names`:
    those of them that were measured. `begun`: whether the last attempt has measured something.
    """

    def __init__(self, path: Path, choose: Choose = list) -> None:
        self._folder, self._choose = RunFolder(path), choose
        self._forget()

    def _forget(self) -> None:
        self._readers: list[AttemptReader] = []
        self._points: Points = {}
        self._first: int | None = None  # the lowest step of the last attempt
        self.names: set[str] = set()
        self.begun = False

    def look(self) -> Points:
        """All points so far, by step; the caller must not change them."""
        attempts = self._folder.attempts()
        if not self._extend(attempts):
            self._forget()
            self._extend(attempts)
        return self._points

    def _extend(self, attempts: list[Attempt]) -> bool:
        """Add what is new; False where what is known must be forgotten: a file was replaced, a branch given up."""
        known = [reader.attempt for reader in self._readers]
        if known != attempts[: len(known)]:
            return False
        for reader in self._readers[:-1]:
            if reader.new_rows() != []:
                return False
        for reader in self._readers[-1:]:
            if not self._add(reader):
                return False
        for attempt in attempts[len(known) :]:
            self._readers.append(AttemptReader(attempt, self._choose))
            self._first, self.begun = None, False
            self._add(self._readers[-1])
        return True

    def _add(self, reader: AttemptReader) -> bool:
        rows = reader.new_rows()
        if not rows:
            return rows is not None
        self.begun = True
        first = min(row.step for row in rows)
        if self._first is None:  # it starts a new branch: see `metrics.merge`
            self._first = first
            self._points = {step: points for step, points in self._points.items() if step <= first}
        elif first < self._first:
            return False
        in_order = True
        last = max(self._points, default=first)
        for row in rows:
            in_order = in_order and row.step >= last
            last = max(last, row.step)
            at_step = self._points.setdefault(row.step, {})
            at_step.update({name: Point(value, row.time) for name, value in row.metrics.items()})
            self.names.update(row.metrics)
        if not in_order:
            self._points = dict(sorted(self._points.items()))
        return True


def only(*names: str) -> Choose:
    """Choose these metrics of a row."""
    wanted = frozenset(names)

    def choose(found: Iterable[str]) -> list[str]:
        return [name for name in found if name in wanted]

    return choose


def newest_first(points: Points) -> Iterator[Mapping[str, Point]]:
    """Return what was measured at each step, from the last step back."""
    return (points[step] for step in reversed(points))


def last(points: Points, name: str) -> float | None:
    """Return the newest value of a metric; None before it was measured."""
    return next((at[name].value for at in newest_first(points) if name in at), None)
