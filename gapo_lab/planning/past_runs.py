"""What finished runs took, for the runs of a plan.

A run with the same cost key on as many workers takes as long as those did: their mean. Else the run that is nearest in
size, of the same model, engines, number of workers and limits of lengths, is scaled, part by part:

- a step, without its checkpoint: as the formula of `cost.py` says for the two, with the tokens of a row as measured;
- a validation: by its rows; where the run has validated fewer than a tenth of them, its rollouts are taken, by rows;
- a start and a checkpoint: as measured.

The first step after a start is slower than the others, and counts only where there are no others (as in a smoke run).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from statistics import fmean, median
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.planning import cost
from gapo_lab.planning.cost import CostInputs, Expected
from gapo_lab.runs import naming
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils import atomic_files
from gapo_lab.utils.dotted import flatten

# The newest runs of a kind that are looked at: reading what one has measured takes milliseconds.
NEWEST = 8
# Of a run's step: what is not rolling out.
NOT_ROLLOUT = (
    "old_log_prob",
    "ref",
    "values",
    "adv",
    "update_critic",
    "update_actor",
    "save_checkpoint",
    "update_weights",
)
# Of timing.json: what a start is not.
NOT_START = ("training", "validating", "recording", "preparing the data", "unpacking the model")
# Below this share of the wanted rows a validation says little: its longest answer decides how long it takes.
FEW = 0.1
WORKERS = ("trainer.n_gpus_per_node", "trainer.nnodes")


@dataclass(frozen=True)
class Parts:
    """Mean seconds of the parts of one finished run; `inputs` is what it was, with the tokens of a row as measured."""

    key: str
    inputs: CostInputs
    start: float
    step: float
    rollout: float
    validation: float
    save: float

    def expected(self, run: CostInputs) -> Expected:
        """Scale to `run`, which trains on the same kind of rows or on others (`CostInputs.typical_tokens`)."""
        if run.steps is None:
            return Expected()
        steps = run.steps
        same_rows = run.typical_tokens == self.inputs.typical_tokens
        run = replace(run, measured_tokens=self.inputs.measured_tokens) if same_rows else run
        step = self.step * cost.step_seconds(run) / cost.step_seconds(self.inputs)
        validating = run.validations * self._validation(run)
        seconds = run.starts * self.start + steps * step + validating + run.saves * self.save
        return Expected(seconds, validating, (self.key,), scaled=True)

    def _validation(self, run: CostInputs) -> float:
        if self.inputs.test_tasks >= FEW * run.test_tasks and self.validation:
            return self.validation * run.test_tasks / self.inputs.test_tasks
        rollouts = self.inputs.prompts * self.inputs.rollouts
        return max(self.validation, self.rollout * run.test_tasks / rollouts)


class PastRuns:
    """The finished runs of a run root. What one has measured is read when a plan asks for it, once."""

    def __init__(self, folders: Iterable[RunFolder]) -> None:
        self._alike: dict[tuple, list[RunFolder]] = {}
        self._similar: dict[tuple, list[RunFolder]] = {}
        self._seconds: dict[str, float] = {}
        self._answers: dict[tuple, Expected | None] = {}
        self._parts: dict[str, Parts | None] = {}
        for folder in folders:
            try:
                seconds, spec = (folder.summary() or {}).get("wall_seconds"), folder.spec
            except UserError:  # a broken folder is none of this plan's business
                continue
            if seconds:
                self._seconds[folder.key] = seconds
                self._alike.setdefault(cost.cost_key(spec), []).append(folder)
                self._similar.setdefault(kind(spec), []).append(folder)

    def expected(self, spec: Mapping[str, Any], settings: Mapping[str, Any]) -> Expected | None:
        """Return what they say of a run, by its spec and its settings by dotted key; None where they say nothing."""
        key, run = cost.cost_key(spec), CostInputs.of(settings)
        asked = (key, kind(spec), run)
        if asked not in self._answers:
            self._answers[asked] = self._same(key, run.workers) or self._scaled(kind(spec), run)
        return self._answers[asked]

    def _same(self, cost_key: tuple, workers: int) -> Expected | None:
        found = [one for one in _newest(self._alike.get(cost_key, [])) if workers_of(one) in (workers, None)]
        if not found:
            return None
        # a start that failed is no part of a run that does not fail
        seconds = fmean(max(0.0, self._seconds[one.key] - one.raw_status.idle_seconds) for one in found)
        return Expected(seconds, 0.0, tuple(one.key for one in found))

    def _scaled(self, of_kind: tuple, run: CostInputs) -> Expected | None:
        if run.rehearsal_steps:
            return None
        found = [self._read(folder) for folder in _newest(self._similar.get(of_kind, []))]
        alike = [parts for parts in found if parts and parts.inputs.workers == run.workers]
        if not alike:
            return None
        nearest = min(alike, key=lambda parts: _distance(parts.inputs, run))
        return nearest.expected(run)

    def _read(self, folder: RunFolder) -> Parts | None:
        if folder.key not in self._parts:
            self._parts[folder.key] = read(folder)
        return self._parts[folder.key]


def kind(spec: Mapping[str, Any]) -> tuple:
    """Return what two runs must share for one to say how long the other takes, but for the number of workers."""
    science = spec.get("science") or {}
    limits = (science.get("data.max_prompt_length"), science.get("data.max_response_length"))
    return (naming.model_name(spec), spec.get("backend"), *limits)


def _distance(theirs: CostInputs, ours: CostInputs) -> tuple[bool, float]:
    """How unlike two runs are: other rows first, then the rollouts of a step."""
    sizes = (theirs.prompts * theirs.rollouts, ours.prompts * ours.rollouts)
    return theirs.typical_tokens != ours.typical_tokens, max(sizes) / min(sizes)


def _newest(folders: Iterable[RunFolder]) -> list[RunFolder]:
    return sorted(folders, key=lambda one: os.stat(f"{one.path}/summary.json").st_mtime, reverse=True)[:NEWEST]


def workers_of(folder: RunFolder) -> int | None:
    """How many workers a run had; None where its folder does not say."""
    found = folder.config_values(WORKERS)
    return prod(found.values()) if found else None


def read(folder: RunFolder) -> Parts | None:
    """Return what a finished run has measured of its parts; None where that is not enough to scale from."""
    try:
        rows = [(number, row) for number, attempt in enumerate(folder.attempts()) for row in attempt.rows()]
        config = folder.config()
        starts = [_start(attempt.path / "timing.json") for attempt in folder.attempts()]
    except UserError:
        return None
    if not config:
        return None
    trained = [(number, row.metrics) for number, row in rows if "timing_s/step" in row.metrics]
    first = {number: place for place, (number, _) in reversed(list(enumerate(trained)))}
    later = [metrics for place, (number, metrics) in enumerate(trained) if first[number] != place]
    steps = later or [metrics for _, metrics in trained]
    tokens = [metrics["perf/total_num_tokens"] for metrics in steps if "perf/total_num_tokens" in metrics]
    if not steps or not tokens:
        return None
    try:
        inputs = CostInputs.of(flatten(config))
    except UserError:  # the user's rows have been moved
        return None
    known = [start for start in starts if start]
    return Parts(
        folder.key,
        replace(inputs, measured_tokens=fmean(tokens) / (inputs.prompts * inputs.rollouts)),
        start=fmean(known) if known else cost.start_seconds(inputs),
        step=median(_without(metrics, "save_checkpoint") for metrics in steps),
        rollout=median(max(0.0, _without(metrics, *NOT_ROLLOUT)) for metrics in steps),
        validation=_mean(rows, "timing_s/testing"),
        save=_mean(rows, "timing_s/save_checkpoint"),
    )


def _start(path: Path) -> float:
    return sum(seconds for name, seconds in (atomic_files.read_json(path) or {}).items() if name not in NOT_START)


def _without(metrics: Mapping[str, float], *parts: str) -> float:
    return metrics["timing_s/step"] - sum(metrics.get(f"timing_s/{part}", 0.0) for part in parts)


def _mean(rows: Iterable[tuple[int, Any]], name: str) -> float:
    found = [row.metrics[name] for _, row in rows if name in row.metrics]
    return fmean(found) if found else 0.0
