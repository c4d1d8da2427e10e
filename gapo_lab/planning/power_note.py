"""What the seeds of a plan can tell from zero, and what half of that would take; or that they compare nothing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from gapo_lab.planning.plan import Action, Plan, Planned
from gapo_lab.runs import measures, naming
from gapo_lab.runs.folder import RunFolder
from gapo_lab.utils.power import POWER, seeds_needed, visible
from gapo_lab.utils.text import several, span, two_digits

# What is trained there is too little for a result, or made up.
NO_RESULT = ("rehearsal", "smoke")
# Methods that are best compared with another one than GRPO, and GRPO itself: a baseline and its method.
COMPARED = {"grpo": ("grpo", "gapo_grpo"), **dict.fromkeys(("dapo", "gapo_dapo"), ("dapo", "gapo_dapo"))}


def power_note(plan: Plan) -> str:
    """Return a line for a plan that compares methods over seeds, or has new seeds of one cell alone; empty for any
    other, such as several settings of one method.

    The spread over seeds is that of the plan's cells that have finished runs; without any it is the unit.
    """
    cells: dict[str, list[Planned]] = {}
    for run in plan.runs:
        if run.spec and run.action is not Action.INVALID and run.spec.scale not in NO_RESULT:
            cells.setdefault(run.cell, []).append(run)
    seeds = min(map(len, cells.values()), default=0)
    if not plan.todo or seeds < 2:
        return ""
    if len({runs[0].valid_spec.algo for runs in cells.values()}) < 2:
        return _alone(*cells.values()) if len(cells) == 1 else ""
    size = visible(seeds)
    out = f"{seeds} seeds a method find a difference of {two_digits(size)} standard deviations over seeds"
    name, sds = _spread([*cells.values()])
    if sds:
        sd = math.sqrt(statistics.fmean(one**2 for one in sds))
        scale, unit = (100, " points") if measures.is_share(name.rpartition("/")[2]) else (1, "")
        measured = f"{two_digits(scale * sd)}{unit} over {several(len(sds), 'finished cell')}"
        out += f" ({two_digits(scale * size * sd)}{unit} of {name}, sd {measured})"
    half = seeds_needed(size / 2, 1.0)
    more = half - seeds if half else 0
    cost = _cost(plan, cells, more)
    return f"{out} in {POWER:.0%} of studies. To detect half of this difference you need {half} seeds: {cost}"


def _alone(runs: Sequence[Planned]) -> str:
    """Say that these runs, all of one cell, have no baseline; '' where some are there: they are gone on with."""
    if any(run.action is not Action.RUN or run.why for run in runs):
        return ""
    spec = runs[0].valid_spec
    given = naming.given_overrides(spec.as_dict()).get("algo", spec.algo)
    both = ",".join(COMPARED.get(spec.algo, ("grpo", given)))
    said = f"{several(len(runs), 'seed')} of one method, {spec.algo}, compare nothing. Name a second one: algo={both}"
    return f"{said}. Or plan one run, as it is without -m: seed=0"


def _cost(plan: Plan, cells: Mapping[str, Sequence[Planned]], more: int) -> str:
    """`360 more runs, about 5,200 GPU-hours`: so many more seeds of every cell."""
    runs = f"{several(more * len(cells), 'more run')}"
    on_gpus = any(run.gpus for run in plan.todo)
    seconds = 0.0
    for mine in cells.values():
        known = [run.seconds * (run.gpus or 1) for run in mine if run.seconds is not None]
        if not known:
            return f"{runs} of unknown length"
        seconds += more * statistics.fmean(known)
    return f"{runs}, about {f'{two_digits(seconds / 3600)} GPU-hours' if on_gpus else f'{span(seconds)} of runs'}"


def _spread(cells: Sequence[Sequence[Planned]]) -> tuple[str, list[float]]:
    """Return the metric, and its standard deviation over the finished seeds of each cell that has two."""
    by_name: dict[str, list[float]] = {}
    for runs in cells:
        done = [_finals(run) for run in runs if run.action is Action.SKIP]
        for name in set.intersection(*map(set, done)) if len(done) > 1 else ():
            by_name.setdefault(name, []).append(statistics.stdev(one[name] for one in done))
    for name in ("final/id/em_expected", "final/id/em", *sorted(by_name)):
        if name in by_name:
            return f"val/{name.removeprefix('final/')}", by_name[name]
    return "", []


def _finals(run: Planned) -> dict[str, float]:
    """Return the last values of the test sets in a run's summary."""
    summary = RunFolder(Path(run.settings["run_root"]) / run.key).summary() or {}
    return {
        name: float(value)
        for name, value in summary.items()
        if name.startswith("final/") and name.count("/") == 2 and isinstance(value, (int, float))
    }
