"""Runs and curves from the run folders themselves, the source of truth. Each metrics file is read once.

What MLflow would hold of a folder is computed by the functions that copy it there, so that both sources give the same
runs, the same curves, and in the end the same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from analysis.results import curves as building
from analysis.results.curves import Curve
from analysis.results.runs import Run
from analysis.results.source import SUMMARISED
from gapo_lab.errors import UserError
from gapo_lab.runs import metrics
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.studies import of_study
from gapo_lab.tracking import mapping

_STUDY = re.compile(rb"^study: *(.*)$", re.MULTILINE)
# (step, Unix milliseconds, value)
Points = Mapping[str, list[tuple[int, int, float]]]


class RunFolders:
    """The run folders below ``root``. ``expected``: metrics that will be asked for, kept when a file is read."""

    def __init__(self, root: Path, expected: Collection[str] = ()) -> None:
        self.root = Path(root)
        self._problems: dict[str, str] = {}
        self._expected = set(expected)
        self._choose = _Chosen(self._expected)
        self._points: dict[str, Points] = {}

    @property
    def place(self) -> str:
        return f"the run folders in {self.root}"

    def problems(self) -> Sequence[str]:
        return tuple(self._problems.values())

    def holds(self, studies: Collection[str]) -> bool:
        """Whether there is a run of one of these studies."""
        there = self._folders
        return any(study in studies for study in there.values()) or any(
            key in there for study in studies for key in of_study(self.root, study)
        )

    def studies(self) -> dict[str, str]:
        return {study: study for study in sorted(set(self._folders.values()))}

    def runs(self, studies: Mapping[str, str], keys: Collection[str] | None = None) -> list[Run]:
        wanted = [k for k, study in self._folders.items() if study in studies and (keys is None or k in keys)]
        found = [self._run(key) for key in wanted]
        return [run for run in found if run is not None]

    def curves(self, runs: Sequence[str], metric: str) -> dict[str, Curve]:
        if metric not in self._expected:
            self._expected.add(metric)
            self._choose, self._points = _Chosen(self._expected), {}
        points = [(code, *point) for code, key in enumerate(runs) for point in self._history(key).get(metric, ())]
        if not points:
            return {}
        codes, steps, times = (np.array([point[i] for point in points], np.int64) for i in range(3))
        values = np.array([point[3] for point in points])
        return {runs[code]: curve for code, curve in building.build(codes, steps, times, values).items()}

    def metrics(self, runs: Sequence[str]) -> list[str]:
        names: set[str] = set()
        for key in runs[:: max(1, len(runs) // 5)]:  # a few speak for all
            folder = RunFolder(self.root / key)
            names |= {name for at in folder.merged_points().values() for name in at}
            names |= mapping.numbers(folder.summary() or {}).keys()
        return sorted(map(mapping.metric_name, names))

    def summarised(self, runs: Sequence[str]) -> list[str]:
        found = {name for key in runs for name in mapping.numbers(RunFolder(self.root / key).summary() or {})}
        return sorted(mapping.metric_name(name) for name in found if name.startswith(SUMMARISED))

    @cached_property
    def _folders(self) -> dict[str, str]:
        """{key: the study that asked for it first}; of a spec only the line with the study is parsed."""
        found: dict[str, str] = {}
        try:
            names = sorted(os.listdir(self.root))
        except (FileNotFoundError, NotADirectoryError):
            return found
        for name in names:
            try:
                line = _STUDY.search((self.root / name / "spec.yaml").read_bytes())
                found[name] = str((yaml.safe_load(line[1]) if line else None) or "default")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except yaml.YAMLError:
                self._problems[name] = f"run {name} left out: its spec.yaml is not valid YAML"
        return found

    def _run(self, key: str) -> Run | None:
        """Return the run as MLflow would hold it, its key for an id; None, and a problem, where its files are
        damaged."""
        folder = RunFolder(self.root / key)
        try:
            spec, started = folder.spec, folder.started()
            folder.summary()  # a result that cannot be read is none
            tags = mapping.tags(spec, folder.provenance(), folder.status(), started)
            return Run(
                id=key,
                study=tags["gapo.study"],
                experiment="",
                name=run_name(spec),
                status=mapping.STATUS.get(tags.get("gapo.state", ""), "SCHEDULED"),
                start=mapping.milliseconds(started) if started else 0,
                params=mapping.params(spec, folder.config_values(mapping.SETTINGS.values())),
                tags={**tags, "gapo.key": key},
            )
        except UserError as error:
            self._problems[key] = f"run {key} left out: {error}"
            return None

    def _history(self, key: str) -> Points:
        """Return the points of a run, by the name that MLflow gives a metric."""
        if key not in self._points:
            folder = RunFolder(self.root / key)
            merged = metrics.merge(attempt.rows(self._choose) for attempt in folder.attempts())
            found = [(name, step, p.value, p.time) for step, at in merged.items() for name, p in at.items()]
            summary, last = mapping.numbers(folder.summary() or {}), mapping.last_time(merged)
            found += [(name, 0, summary[name], last) for name in self._choose(summary)]
            points: dict[str, list[tuple[int, int, float]]] = {}
            for name, step, value, time in found:
                point = (step, mapping.milliseconds(time), value)
                points.setdefault(mapping.metric_name(name), []).append(point)
            self._points[key] = points
        return self._points[key]


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
