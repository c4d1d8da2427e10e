"""A run, and which runs count: each once, finished, and fully described. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from gapo_lab.runs.failure import is_out_of_memory
from gapo_lab.runs.status import Cause
from gapo_lab.tracking.mapping import NOT_CELL

NOW = "gapo.now."  # begins the tag of a parameter that has changed since it was logged
# How tables and notes say a cause that they name; of any other they say that the run failed or was interrupted.
CAUSES: Mapping[str, str] = {Cause.OUT_OF_MEMORY: "out of memory", Cause.PRUNED: "pruned by its search"}


@dataclass(frozen=True)
class Run:
    """One run. ``start`` is in Unix milliseconds; ``study`` is the one that asked for it first.

    ``id`` is what its source calls it; ``experiment`` is MLflow's, or empty. Parameters and tags are those of its
    copy in MLflow, whatever the source.
    """

    id: str
    study: str
    experiment: str
    name: str
    status: str
    start: int
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_described(self) -> bool:
        """Whether its parameters say what it trained: model, algo and seed."""
        return {"model", "algo"} <= self.params.keys() and bool(re.fullmatch(r"-?\d+", self.params.get("seed", "")))

    @cached_property
    def seed(self) -> int:
        """The seed of a run that is described."""
        return int(self.params["seed"])

    @cached_property
    def cell(self) -> str:
        """The cell's id: the tag that the tracker set, else the parameters without the seed."""
        return self.tags.get("gapo.cell") or repr(
            sorted((name, value) for name, value in self.params.items() if name not in NOT_CELL)
        )

    @property
    def identity(self) -> str:
        """The same for copies of one run in two studies."""
        return self.tags.get("gapo.key") or self.params.get("key") or self.id

    @property
    def finished(self) -> bool:
        return self.status == "FINISHED"

    @property
    def is_trial(self) -> bool:
        """Whether it trained, and does not stand for a cell or a report."""
        return not (self.tags.get("gapo.is_cell") or self.tags.get("gapo.is_report"))

    @property
    def is_rehearsal(self) -> bool:
        """Whether its numbers are made up; copies from before there was a tag say so in their scale."""
        return self.tags.get("gapo.rehearsal") == "yes" or self.params.get("scale") == "rehearsal"

    @property
    def is_smoke(self) -> bool:
        """Whether it is a smoke run: two steps, to see that all parts work."""
        return self.params.get("scale") == "smoke"

    @property
    def commit(self) -> str:
        return self.tags.get("mlflow.source.git.commit", "")

    @property
    def package(self) -> str:
        """The package that the code was installed from, `gapo_lab 0.1.0`; '' where its commit is known."""
        return self.tags.get("gapo.package", "")

    @property
    def is_dirty(self) -> bool:
        """Whether the code had changes that were not committed."""
        return self.tags.get("gapo.git.dirty") == "True"

    @property
    def host(self) -> str:
        return self.tags.get("gapo.host", "")

    @property
    def cell_name(self) -> str:
        """Empty for a copy from before cells had one."""
        return self.tags.get("gapo.cell_name", "")

    @property
    def message(self) -> str:
        return self.tags.get("gapo.message", "")

    @property
    def cause(self) -> str:
        """Why it has stopped, as its status names it; of a copy or a status without one, as its message says."""
        if said := self.tags.get("gapo.cause"):
            return said
        if is_out_of_memory(self.message):
            return Cause.OUT_OF_MEMORY
        return Cause.PRUNED if re.match(r"pruned\b", self.message, re.IGNORECASE) else Cause.NONE

    @property
    def why_not(self) -> str:
        """Why an unfinished run has no result, in a few words."""
        if self.status in ("FAILED", "KILLED") and self.cause in CAUSES:
            return CAUSES[self.cause]
        words = {
            "RUNNING": "still running",
            "SCHEDULED": "not started",
            "FAILED": "failed",
            "KILLED": "interrupted",
        }
        return words.get(self.status, self.status.lower())


def from_mlflow(
    id: str,
    experiment: tuple[str, str],
    name: str,
    status: str,
    start: int,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> Run:
    """Return a run as MLflow holds it; ``experiment``: its id and name.

    What MLflow cannot change after the first copy, tags say anew: parameters, the start, the study of a copy.
    """
    now = {name.removeprefix(NOW): value for name, value in tags.items() if name.startswith(NOW)}
    return Run(
        id=id,
        study=tags.get("gapo.study", experiment[1]),
        experiment=experiment[0],
        name=name,
        status=status,
        start=int(tags.get("gapo.started", start)),
        params={**params, **now},
        tags=tags,
    )


@dataclass(frozen=True)
class Cell:
    """The runs that differ only in their seed: the finished ones by seed, and the others."""

    id: str
    params: Mapping[str, str]
    runs: tuple[Run, ...]
    unfinished: tuple[Run, ...] = ()

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def model(self) -> str:
        return self.params["model"]

    @property
    def algo(self) -> str:
        return self.params["algo"]

    @property
    def tau(self) -> float | None:
        text = self.params.get("tau")
        return float(text) if text else None

    @property
    def noise(self) -> float:
        """Share of training rollouts whose reward is an outlier."""
        return float(self.params.get("noise") or 0)

    @property
    def name(self) -> str:
        """The name that plan, status and MLflow have for it, too: with whatever differs from the defaults."""
        return next(
            (run.cell_name for run in reversed((*self.unfinished, *self.runs)) if run.cell_name),
            self.short_name,
        )

    @property
    def short_name(self) -> str:
        """Model, method, tau and noise."""
        tau = f" tau={self.params['tau']}" if self.params.get("tau") else ""
        noise = f" noise={self.params['noise']}" if self.noise else ""
        return f"{self.model} {self.algo}{tau}{noise}"

    @property
    def reason(self) -> str:
        """Why there is no result, where no run finished."""
        reasons = [run.why_not for run in self.unfinished]
        if "out of memory" in reasons:
            return "out of memory"
        return reasons[0] if reasons else "not run"

    def missing(self, seeds: Sequence[int]) -> tuple[int, ...]:
        return tuple(seed for seed in seeds if seed not in self.seeds)


@dataclass(frozen=True)
class Selection:
    """The cells, and in words what was left out and why."""

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for cell in self.cells for run in cell.runs)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that a cell was started with."""
        return tuple(sorted({run.seed for cell in self.cells for run in (*cell.runs, *cell.unfinished)}))


def select(runs: Iterable[Run], where: Mapping[str, str] | None = None) -> Selection:
    """Return the runs that count, as cells; whatever order they come in, the result is the same.

    Left out, and said: runs that are no trial (no model, algo or seed), those that have not finished, a run
    that two studies share (it counts once), and of two finished runs of one cell and seed the older.
    Parent and report runs are passed over. ``where`` keeps runs with these parameters.
    """
    notes: dict[str, list[str]] = defaultdict(list)
    trials: list[Run] = []
    runs = list(runs)
    # a run from before there was noise has none
    if any("noise" in run.params for run in runs):
        runs = [run if "noise" in run.params else replace(run, params={**run.params, "noise": "0"}) for run in runs]
    for run in sorted(runs, key=lambda r: (r.start, r.identity, r.id)):
        if not run.is_trial:
            continue
        if not run.is_described:
            notes["no model, algo or seed among its parameters"].append(run.name or run.id)
        elif all(run.params.get(name) == value for name, value in (where or {}).items()):
            trials.append(run)
    cells: dict[str, dict[int, Run]] = defaultdict(dict)
    unfinished: dict[str, list[Run]] = defaultdict(list)
    seen: dict[str, Run] = {}
    for run in trials:
        there = seen.get(run.identity)
        if there is not None and there.finished >= run.finished:
            if there.study != run.study:
                notes[f"also in study {there.study}, where it is counted"].append(run.name)
            continue
        seen[run.identity] = run
    for run in seen.values():
        if not run.finished:
            unfinished[run.cell].append(run)
            continue
        if (older := cells[run.cell].get(run.seed)) is not None:
            notes["repeated: the newer run of this cell and seed is used"].append(older.name)
        cells[run.cell][run.seed] = run
    for cell, those in unfinished.items():
        for run in those:
            if run.seed not in cells[cell]:
                notes[run.why_not].append(run.name)
            else:
                notes[f"{run.why_not}, and another run of this cell and seed finished"].append(run.name)
    found = [_cell(id, by_seed, unfinished[id]) for id, by_seed in cells.items()]
    return Selection(
        tuple(sorted(found, key=lambda cell: (cell.name, cell.id))),
        tuple(f"{several(names)}: {reason}" for reason, names in sorted(notes.items())),
    )


def _cell(id: str, by_seed: Mapping[int, Run], unfinished: Sequence[Run]) -> Cell:
    runs = tuple(by_seed[seed] for seed in sorted(by_seed))
    first = (*runs, *unfinished)[0]
    params = {name: value for name, value in first.params.items() if name not in NOT_CELL}
    # Only what all runs of the cell agree on speaks for the cell; one method may have been asked for by two names.
    for run in (*runs, *unfinished):
        params = {name: value for name, value in params.items() if run.params.get(name) == value}
    params |= {name: first.params[name] for name in ("model", "algo")}
    return Cell(id, params, runs, tuple(r for r in unfinished if r.seed not in by_seed))


def several(names: Sequence[str]) -> str:
    """Three of the names, and how many more there are."""
    names = sorted(names)
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
