"""A search without training: what the machinery costs, and what pruning saves."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.measurement import Row

STEPS, BEST, TRIALS = 20, 0.4, 60


class InstantRuns:
    """Runs whose curve (gapo_lab.training.rehearsal.curve) grows by a step a look; nothing is trained, no one waits."""

    def __init__(self, root: Path) -> None:
        self.root, self.active, self.steps, self.ending = root, {}, 0, 0

    def start(self, runs) -> None:
        from gapo_lab.runs.folder import RunFolder

        for run in runs:
            folder = RunFolder.open(self.root, run.key, run.valid_spec.as_dict())
            if not folder.is_finished:
                self.active[run.key] = (folder, folder.start_attempt(), run.spec)

    def tick(self) -> None:
        from gapo_lab.training.rehearsal import curve

        for key, (folder, attempt, spec) in list(self.active.items()):
            step = max(folder.merged_points(), default=0) + 1
            attempt.append_metrics(step, curve(spec.seed, step, spec.tau, BEST))
            self.steps += 1
            if step == STEPS:
                folder.write_summary({})
                del self.active[key]

    def look(self, keys):
        from gapo_lab.runs.folder import RunFolder

        return {key: RunFolder(self.root / key).status() for key in keys}

    def end(self, keys, cause, why) -> None:
        for key in keys:
            self.active.pop(key, None)

    def stop(self, why) -> None:
        self.active.clear()

    def finish(self, runs) -> None:
        self.start(runs)
        while self.active:
            self.tick()


def search_without_training() -> list[Row]:
    """Run 60 trials of a search for tau over simulated curves of 20 steps whose best tau is 0.4 (`bench.search`).

    Overhead: processor seconds of a trial from its proposal to its end (composing, checking, run folder, 20 looks at
    its metrics, pruner, sampler, journal), against 1 s. Launching a process is not included. Steps: those trained
    with median pruning and with Hyperband, against those without pruning. "Equal best" means that the best exact match
    found, without noise, is less than 0.005 below that without pruning.
    """
    seconds, full, free = _searched("none")
    rows = [Row(f"search: a trial's overhead / 1 s ({60 / seconds:.0f} trials a minute)", seconds, 1.0, 0.5)]
    for pruner in ("median", "hyperband"):
        _, steps, best = _searched(pruner)
        equal = "equal best" if best > free - 0.005 else f"best {best:.3f} for {free:.3f}"
        rows.append(Row(f"search: steps with {pruner} pruning / without, {equal}", steps, full, 0.8, unit="steps"))
    return rows


def _searched(pruner: str) -> tuple[float, float, float]:
    """Processor seconds a trial, steps in all, and the height of the curve at the best tau found."""
    from rich.console import Console

    from gapo_lab.search.conditional_axes import Conditions
    from gapo_lab.search.runner import carry_out_search
    from gapo_lab.search.settings import make_search

    words = [
        "+sweep=tau_search",
        "scale=rehearsal",
        f"search.trials={TRIALS}",
        "search.every=1e-6",
        "search.finalists=0",
        f"search/pruner={pruner}",
        f"trainer.total_training_steps={STEPS}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        search = replace(make_search(words), root=Path(folder))
        conditions, runs = Conditions(search.space), InstantRuns(search.root)
        conditions.check()
        start = time.process_time()
        nothing = {"write": lambda *_: None, "keep": lambda *_: None}
        found = carry_out_search(search, conditions, runs, Console(quiet=True), **nothing)
        seconds = (time.process_time() - start) / TRIALS
    assert found, "the search was stopped"
    tau = float(found.candidates[0].words[-1].partition("=")[2])
    return seconds, float(runs.steps), 0.8 - 1.2 * (tau - BEST) ** 2
