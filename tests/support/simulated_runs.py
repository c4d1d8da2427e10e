"""Runs without processes: each tick is a step of every run, written to real run folders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from rich.console import Console

from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import Cause
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.runner import carry_out_search
from gapo_lab.search.search_space import Space
from gapo_lab.search.settings import Search, make_search
from gapo_lab.training.rehearsal import curve

STEPS = 9
BEST = 0.4


class SimulatedRuns:
    """`gapo_lab.search.trial_runs.Runs`. ``speed`` steps a tick; ``breaks``: the seeds and taus of runs that fail."""

    def __init__(self, root: Path, speed: int = 1, breaks=lambda spec: False) -> None:
        self.root, self.speed, self.breaks = Path(root), speed, breaks
        self.active: dict[str, object] = {}
        self.started: list[str] = []
        self.ended: dict[str, str] = {}
        self.most_active = 0
        self.ending = self.ticks = 0

    def start(self, runs) -> None:
        for run in runs:
            folder = RunFolder.open(self.root, run.spec.key, run.spec.as_dict())
            if not folder.is_finished and run.spec.key not in self.active:
                attempt = folder.start_attempt()
                self.active[run.spec.key] = (folder, attempt, run.spec)
                self.started.append(run.spec.key)
        self.most_active = max(self.most_active, len(self.active))

    def tick(self) -> None:
        self.ticks += 1
        for _ in range(self.speed):
            for key, (folder, attempt, spec) in list(self.active.items()):
                step = max(folder.merged_points(), default=0) + 1
                if self.breaks(spec) and step == 3:
                    folder.write_status(state="failed", message="out of memory")
                    del self.active[key]
                    continue
                if step <= STEPS:
                    attempt.append_metrics(step, curve(spec.seed, step, spec.tau, BEST))
                    folder.write_status(step=step)
                if step >= STEPS:
                    folder.write_summary({"final/step": STEPS})
                    del self.active[key]

    def look(self, keys) -> dict:
        return {key: RunFolder(self.root / key).status() for key in keys}

    def end(self, keys, cause: Cause, why: str) -> None:
        for key in keys:
            if self.active.pop(key, None):
                RunFolder(self.root / key).write_status(state="interrupted", cause=cause, message=why or str(cause))
                self.ended[key] = why or str(cause)

    def stop(self, why: BaseException) -> None:
        self.end(list(self.active), Cause.CANCELLED, "stopped")

    def finish(self, runs) -> None:
        self.start(runs)
        while self.active:
            self.tick()


@cache
def search_of(*words: str) -> Search:
    return make_search(["+sweep=tau_search", "scale=rehearsal", "search.every=0.0001", *words])


@cache
def conditions_of(space: Space) -> Conditions:
    conditions = Conditions(space)
    conditions.check()
    return conditions


def searched(
    root: Path,
    *words: str,
    runs: SimulatedRuns | None = None,
    console: Console | None = None,
    report: bool = False,
):
    """The result of a search over simulated runs. ``report``: draw its pictures, too."""
    search = replace(search_of(*words), root=root)
    console, runs = console or Console(quiet=True), runs or SimulatedRuns(root)
    write = {} if report else {"write": lambda *_: None, "keep": lambda *_: None}
    return carry_out_search(search, conditions_of(search.space), runs, console, **write)
