"""Finished runs as rows of MLflow's database, from their folders."""

from __future__ import annotations

import math
import multiprocessing
import signal
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gapo_lab.errors import UserError
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import State
from gapo_lab.tracking import artifacts, mapping, study_metrics
from gapo_lab.tracking.copier import CELL, FILES, IS_CELL, SENDING, SENT
from gapo_lab.tracking.mapping import Sample

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

BATCH = 50  # runs that are read, and written, at a time
MANY = 4  # batches for which a process that reads ahead is worth its start: half a second
# MLflow's highest number: infinity.
INFINITE = 1.7976931348623157e308

Point = tuple[str, float, int, int, bool]  # name, value, milliseconds, step, whether the value is NaN


@dataclass(frozen=True)
class FinishedRun:
    """What MLflow is to hold of a run.

    started, ended: seconds since 1970. files: their texts by their paths. measured: as `study_metrics.of_run`.
    """

    folder: RunFolder
    spec: Mapping[str, Any]
    started: float | None
    ended: float | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Sequence[Point]
    files: Mapping[str, str]
    measured: Sequence[str]

    @property
    def key(self) -> str:
        return self.folder.key


def read_all(folders: Sequence[RunFolder]) -> Generator[list[FinishedRun], None, None]:
    """Read the runs, a batch at a time; many of them in a process of its own, while what came before is used."""
    batches = [folders[start : start + BATCH] for start in range(0, len(folders), BATCH)]
    yield from map(_read_batch, batches) if len(batches) < MANY else _read_ahead(batches)


def _read_batch(folders: Sequence[RunFolder]) -> list[FinishedRun]:
    return [run for folder in folders if (run := read(folder))]


def _read_ahead(batches: Sequence[Sequence[RunFolder]]) -> Iterator[list[FinishedRun]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    reader = context.Process(target=_send, args=(there, batches), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of Ctrl-C the reader is told by this process
    try:
        reader.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()  # so that its end is seen here
    try:
        for folders in batches:
            try:
                runs = here.recv()
            except (EOFError, OSError):  # it was killed, as where memory is short
                runs = _read_batch(folders)
            yield runs
    finally:
        here.close()
        reader.terminate()
        reader.join()


def _send(there: Connection, batches: Sequence[Sequence[RunFolder]]) -> None:
    """Read a batch while the one before it lies in the pipe. Ends with the process that receives them."""
    with suppress(BrokenPipeError):
        for folders in batches:
            there.send(_read_batch(folders))


def read(folder: RunFolder) -> FinishedRun | None:
    """Return a finished run; None for any other, and for one that cannot be read, which the copier says why."""
    try:
        status = folder.status()
        if status.state is not State.FINISHED:
            return None
        spec, started = folder.spec, folder.started()
        attempts = {attempt.number: attempt.rows() for attempt in folder.attempts()}
        summary = folder.summary()
        mark, samples = mapping.to_send(attempts, summary)
        files = artifacts.collect(folder)
        about = mapping.tags(spec, folder.provenance(), status, started)
        config = folder.config_values([*mapping.SETTINGS.values(), study_metrics.METRIC])
    except (UserError, OSError, ValueError, TypeError, AttributeError):
        return None
    tags = {**about, SENDING: mark.to_text(), SENT: mark.to_text(), FILES: artifacts.mark(files)}
    params = mapping.params(spec, config)
    points = list(dict.fromkeys(map(_point, samples)))
    names = {point[0] for point in points}
    measured = study_metrics.of_run(summary, () if summary else names, config.get(study_metrics.METRIC))
    if IS_CELL in tags or CELL not in tags or not all(map(mapping.is_plain, names)):
        return None
    return FinishedRun(folder, spec, started, status.updated, tags, params, points, files, measured)


def _point(sample: Sample) -> Point:
    """As MLflow stores it: its databases know neither NaN nor infinity."""
    name, step, text, milliseconds = sample
    value = float(text)
    if math.isfinite(value):
        return name, value, milliseconds, step, False
    if math.isnan(value):
        return name, 0.0, milliseconds, step, True
    return name, math.copysign(INFINITE, value), milliseconds, step, False
