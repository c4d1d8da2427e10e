"""Runs and curves from the run folders themselves, the source of truth. Each metrics file is read once.

What MLflow would hold of a folder is computed by the functions that copy it there, so that both sources give the same
runs, the same curves, and in the end the same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from analysis.results import curves as building
from analysis.results.curves import Curve
from analysis.results.runs import Run
from gapo_lab.errors import UserError
from gapo_lab.runs import metrics
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.tracking import mapping

_STUDY = re.compile(rb"^study: *(.*)$", re.MULTILINE)


class RunFolders:
    """The run folders below ``root``. ``expected``: the metrics that will be asked for, kept from the first reading on."""

    def __init__(self, root: Path, expected: Collection[str] = ()) -> None:
        self.root, self.uri = Path(root), str(root)
        self.problems: list[str] = []
        self._expected = set(expected)
        self._points: dict[str, Mapping[str, list[tuple[int, int, float]]]] = {}
        self._choose = _Chosen(expected)

    def studies(self) -> dict[str, str]:
        return {study: study for study in sorted({study for _, study in self._folders()})}

    def runs(self, studies: Mapping[str, str], keys: Collection[str] | None = None) -> list[Run]:
        out = []
        for path, study in self._folders():
            if study in studies and (keys is None or path.name in keys):
                try:
                    out.append(_run(RunFolder(path)))
                except UserError as error:
                    self.problems.append(f"run {path.name} left out: {error}")
        return out

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        if metric not in self._expected:
            self._expected.add(metric)
            self._choose, self._points = _Chosen(self._expected), {}
        found = [(code, point) for code, key in enumerate(runs) for point in self._history(key).get(metric, ())]
        if not found:
            return {}
        codes = np.array([code for code, _ in found], np.int64)
        steps, times = (np.array([point[i] for _, point in found], np.int64) for i in (0, 1))
        values = np.array([point[2] for _, point in found])
        return {runs[code]: curve for code, curve in building.build(codes, steps, times, values).items()}

    def metrics(self, runs: Sequence[str]) -> list[str]:
        names: set[str] = set()
        for key in runs[:: max(1, len(runs) // 5)]:  # a few speak for all
            folder = RunFolder(self.root / key)
            names |= {name for at in folder.merged_points().values() for name in at} | set(folder.summary() or {})
        return sorted(map(mapping.metric_name, names))

    def _folders(self) -> Iterator[tuple[Path, str]]:
        """Each run folder and the study that asked for it first, by key; only the line with the study is parsed."""
        try:
            names = sorted(os.listdir(self.root))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            try:
                found = _STUDY.search((self.root / name / "spec.yaml").read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                continue
            if found:
                yield self.root / name, str(yaml.safe_load(found[1]) or "default")

    def _history(self, key: str) -> Mapping[str, list[tuple[int, int, float]]]:
        """{metric: (step, Unix milliseconds, value) of its points} of a run, for the expected metrics."""
        if key not in self._points:
            self._points[key] = self._read(RunFolder(self.root / key))
        return self._points[key]

    def _read(self, folder: RunFolder) -> dict[str, list[tuple[int, int, float]]]:
        merged = metrics.merge(attempt.rows(self._choose) for attempt in folder.attempts())
        found = [(name, step, point.value, point.time) for step, at in merged.items() for name, point in at.items()]
        last = mapping.last_time(merged)
        summary = mapping.numbers(folder.summary() or {})
        found += [(name, 0, summary[name], last) for name in self._choose(summary)]
        points: dict[str, list[tuple[int, int, float]]] = {}
        for name, step, value, time in found:
            points.setdefault(mapping.metric_name(name), []).append((step, mapping.milliseconds(time), value))
        return points


class _Chosen:
    """Chooses, of the names in a run folder, those that MLflow calls by one of ``shown``."""

    def __init__(self, shown: Collection[str]) -> None:
        self._shown = set(shown)
        self._seen: set[str] = set()
        self._wanted: list[str] = []

    def __call__(self, names: Mapping[str, object]) -> list[str]:
        if new := names.keys() - self._seen:
            self._seen |= new
            self._wanted += sorted(name for name in new if mapping.metric_name(name) in self._shown)
        return [name for name in self._wanted if name in names]


def _run(folder: RunFolder) -> Run:
    """The run as MLflow would hold it, its key for an id."""
    spec, status, started = folder.spec, folder.status(), folder.started()
    if folder.is_finished:
        folder.summary()  # a result that cannot be read is none
    tags = mapping.tags(spec, folder.provenance() or {}, status, started)
    return Run(
        id=folder.key,
        study=tags["gapo.study"],
        experiment="",
        name=run_name(spec),
        status=mapping.STATUS.get(status.get("state", ""), "SCHEDULED"),
        start=mapping.milliseconds(started) if started else 0,
        params=mapping.params(spec, folder.config_values(mapping.SETTINGS.values())),
        tags={**tags, "gapo.key": folder.key},
    )
