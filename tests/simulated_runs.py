"""Runs without processes: each tick is a step of every run, written to real run folders."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from gapo_lab.rehearsal import curve
from gapo_lab.run_folder import RunFolder
from gapo_lab.search.carry_out import carry_out_search
from gapo_lab.search.settings import make_search

STEPS = 9
BEST = 0.4


class SimulatedRuns:
    """`gapo_lab.search.running.Runs`. ``speed`` steps a tick; ``breaks``: the seeds and taus of runs that fail."""

    def __init__(self, root: Path, speed: int = 1, breaks=lambda spec: False) -> None:
        self.root, self.speed, self.breaks = Path(root), speed, breaks
        self.active: dict[str, object] = {}
        self.started: list[str] = []
        self.ended: dict[str, str] = {}
        self.most_active = 0
        self.ending = 0

    def start(self, runs) -> None:
        for run in runs:
            folder = RunFolder.open(self.root, run.spec.key, run.spec.as_dict())
            if not folder.is_finished and run.spec.key not in self.active:
                attempt = folder.start_attempt()
                self.active[run.spec.key] = (folder, attempt, run.spec)
                self.started.append(run.spec.key)
        self.most_active = max(self.most_active, len(self.active))

    def tick(self) -> None:
        for _ in range(self.speed):
            for key, (folder, attempt, spec) in list(self.active.items()):
                step = max(folder.merged_points(), default=0) + 1
                if self.breaks(spec) and step == 3:
                    folder.write_status(state="failed", message="out of memory")
                    del self.active[key]
                    continue
                attempt.append_metrics(step, curve(spec.seed, step, spec.tau, BEST))
                folder.write_status(step=step)
                if step == STEPS:
                    folder.write_summary({"final/step": STEPS})
                    del self.active[key]

    def look(self, keys) -> dict:
        return {key: RunFolder(self.root / key).status() for key in keys}

    def end(self, keys, cause: str, remedy: str) -> None:
        for key in keys:
            if self.active.pop(key, None):
                RunFolder(self.root / key).write_status(state="interrupted", cause=cause, message=cause)
                self.ended[key] = cause

    def stop(self) -> None:
        self.end(list(self.active), "stopped", "")

    def finish(self, runs) -> None:
        self.start(runs)
        while self.active:
            self.tick()


def searched(root: Path, *words: str, runs: SimulatedRuns | None = None, console: Console | None = None):
    """The result of a search over simulated runs."""
    base = ("+sweep=tau_search", "scale=rehearsal", f"run_root={root}", "search.every=0.0001")
    search = make_search([*base, *words])
    return carry_out_search(search, runs or SimulatedRuns(search.root), console or Console(quiet=True))
