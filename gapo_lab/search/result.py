"""What a search found: the best trials, measured again with more seeds, as a table and as words for the next run."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gapo_lab.config import search_path
from gapo_lab.planning.plan import Planned
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.metrics import values
from gapo_lab.search import names
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.settings import Search
from gapo_lab.search.trial_runs import Runs
from gapo_lab.search.trials import DONE, runs_of
from gapo_lab.utils.prose import say
from gapo_lab.utils.t_interval import half_width

# The first seed of a check, where the search has used none of its seeds; and how many they are.
FRESH, CHECKS = 100, 10


@dataclass(frozen=True)
class Candidate:
    """A good trial. ``numbers``: of each objective, one value a seed; ``name``: of the cell that its runs are;
    ``setting``: what was searched, at its values: `lr=2.414e-4`; ``keys``: of its runs, one a seed."""

    trial: int
    words: tuple[str, ...]
    numbers: tuple[tuple[float, ...], ...]
    name: str
    setting: str
    keys: tuple[str, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """Of each objective, the mean over the seeds."""
        return tuple(statistics.fmean(one) for one in self.numbers)

    @property
    def seeds(self) -> int:
        return len(self.numbers[0])


@dataclass(frozen=True)
class Result:
    """``candidates``: best first; with several objectives, those that no other trial beats in all of them.

    ``line``: the command that measures the first of them with seeds that the search has not used.
    """

    study: str
    objectives: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    line: str
    states: dict[str, int]
    saved: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"values": [one.values for one in self.candidates]}


def of(search: Search, study: optuna.Study, conditions: Conditions, runs: Runs, again: bool = True) -> Result | None:
    """Return the result; None where no trial was finished. ``again``: measure the best with `search.final_seeds`
    first."""
    best = good(search, study)
    if not best:
        return None
    seeds = dict.fromkeys((trial.number for trial in best), search.seeds)
    if again and search.finalists and search.final_seeds > search.seeds:
        chosen = spaced(best, search.finalists)
        seeds |= dict.fromkeys((trial.number for trial in chosen), search.final_seeds)
        runs.finish(final_runs(search, chosen, conditions))
    found = [_candidate(search, trial, seeds[trial.number], conditions) for trial in best]
    if search.single:
        found.sort(key=lambda one: one.values[0], reverse=search.objectives[0].largest)
    states = Counter(trial.state.name.lower() for trial in study.get_trials(deepcopy=False))
    line = check_line(search, conditions, found[0].words)
    objectives = tuple(one.name for one in search.objectives)
    return Result(search.study, objectives, tuple(found), line, dict(states), saved(study))


def final_runs(search: Search, chosen: Sequence[FrozenTrial], conditions: Conditions) -> list[Planned]:
    """Return the runs of these trials with `search.final_seeds`."""
    words = [_words(search, trial) for trial in chosen]
    return [run for one in words for run in runs_of(search, one, search.final_seeds, conditions)]


def good(search: Search, study: optuna.Study) -> list[FrozenTrial]:
    """Return the best finished trials, as many as finalists, each parameter set once; with several objectives the
    Pareto
    front, from the best in the first objective on."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    front = done if search.single or not done else study.best_trials
    sign = -1 if search.objectives[0].largest else 1
    in_order = sorted(front, key=lambda t: (sign * t.values[0], t.number))
    once: dict[tuple[str, ...], FrozenTrial] = {}
    for trial in in_order:
        once.setdefault(_words(search, trial), trial)
    return list(once.values())[: max(1, search.finalists) if search.single else None]


def spaced(front: Sequence[FrozenTrial], count: int) -> list[FrozenTrial]:
    """So many of them, the first and the last among them, evenly spaced."""
    if len(front) <= count or count == 1:
        return list(front[:count])
    return [front[round(n * (len(front) - 1) / (count - 1))] for n in range(count)]


def _words(search: Search, trial: FrozenTrial) -> tuple[str, ...]:
    return search.space.words(trial.params)


def _candidate(search: Search, trial: FrozenTrial, seeds: int, conditions: Conditions) -> Candidate:
    words = _words(search, trial)
    runs = runs_of(search, words, seeds, conditions)
    curves = [values(RunFolder(search.root / run.key).merged_points()) for run in runs]
    numbers = tuple(tuple(one.value(curve) for curve in curves) for one in search.objectives)
    setting, keys = names.of_trial(search.space, trial.params), tuple(run.key for run in runs)
    return Candidate(trial.number, words, numbers, runs[0].name, setting, keys)


def check_line(search: Search, conditions: Conditions, words: Sequence[str]) -> str:
    """Return the command of a study of these words with fresh seeds.

    Where they need the sweep file, it is the command of one run: with -m that file would search again.
    """

    short = [word for word in words if not word.lstrip("+").startswith(("sweep=", "study="))]
    full, alone = conditions.draft(words), conditions.draft(short)
    same = full.spec and alone.spec and full.spec.key == alone.spec.key
    study, seeds = f"study={search.study}_check", fresh_seeds(search)
    if same:
        command = ["-m", *short, study, f"seed=range({seeds.start},{seeds.stop})"]
    else:
        command = [*(word for word in words if not word.startswith("study=")), study, f"seed={seeds.start}"]
    return "python -m gapo_lab.run " + shlex.join([*command, *search_path.as_words()])


def fresh_seeds(search: Search) -> range:
    """Return ten seeds that no run of the search has."""
    used = search.seeds_of(max(search.seeds, search.final_seeds))
    start = FRESH if used[-1] < FRESH or used[0] >= FRESH + CHECKS else used[-1] + 1
    return range(start, start + CHECKS)


def saved(study: optuna.Study) -> float | None:
    """Return the share of training steps that pruning left out, of trials whose steps were reported."""
    done = [t for t in study.get_trials(deepcopy=False, states=DONE) if t.last_step is not None]
    if not done:
        return None
    longest = max(trial.last_step for trial in done)
    return 1 - sum(trial.last_step for trial in done) / (longest * len(done))


def show(result: Result, console: Console) -> None:
    """Print the table of candidates, a line of totals, and the command that checks the best."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    front = len(result.objectives) > 1
    for name in ("trial", "seeds", *result.objectives):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Pareto front" if front else "best trials", overflow="fold")
    for one in result.candidates:
        numbers = [spread(values) for values in one.numbers]
        table.add_row(str(one.trial), str(one.seeds), *numbers, escape(one.setting))
    console.print(table)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(result.states.items()))
    stopped = f"; {result.saved:.0%} of the steps saved" if result.saved and result.states.get("pruned") else ""
    console.print(f"{sum(result.states.values())} trials: {counts}{stopped}", highlight=False)
    best = result.candidates[0]
    say(
        console,
        f"best{' in ' + result.objectives[0] if front else ''}: trial {best.trial}, {best.setting}\n"
        f"measure it with seeds that the search has not used: {result.line}",
        markup=False,
    )


def spread(values: Sequence[float]) -> str:
    """`0.482 +- 0.012`: the mean and half of its 95 % interval (Student's t); one value stands alone."""
    if len(values) < 2:
        return f"{values[0]:.4g}"
    half = half_width(statistics.stdev(values), len(values))
    return f"{statistics.fmean(values):.4g} ± {half:.2g}"
