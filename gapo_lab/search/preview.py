"""What a search would do, what of it is done, and what the rest costs at most; for `python -m gapo_lab plan`.

Starts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from rich.console import Console

from gapo_lab.launch import executor
from gapo_lab.planning import plan
from gapo_lab.planning.plan_table import source
from gapo_lab.runs.folder import RunFolder
from gapo_lab.search import loop, result, storage
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.runner import introduction
from gapo_lab.search.settings import Search, make_search
from gapo_lab.search.trials import DONE
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import duration, roughly, several, two_digits


def show(words: Sequence[str], console: Console) -> None:
    """Check the search and print it. UserError where it could not be started."""
    search = make_search(words)
    conditions = Conditions(search.space, search.first_seed)
    conditions.check()
    study = storage.look(search)
    for line in (*introduction(search, conditions)[:3], cost(search, conditions, study)):
        say(console, line, markup=False)


def cost(search: Search, conditions: Conditions, study: optuna.Study | None) -> str:
    """Return `1 of 30 trials done; at most 41 more runs of ~2.3 h, 8 GPUs each: about 750 GPU-hours`.

    The length is that of a run at the first end of each axis.
    """
    most = loop.most(search)
    done = len(study.get_trials(deepcopy=False, states=DONE)) if study else 0
    count = runs_left(search, conditions, study, max(0, most - done))
    before = f"{done} of {max(most, done)} trials done; " if done else ""
    if not count:
        return f"{before}nothing is left to run"
    runs = f"{before}at most {several(count, 'more run' if done else 'run')}"
    chosen: tuple[str, ...] = ()
    for axis in search.space.axes:
        if conditions.active(axis, chosen):
            chosen = (*chosen, axis.word(axis.ends[0]))
    run = plan.make([conditions.draft((*search.space.fixed, *chosen))], measured=executor.measured(search.root)).runs[0]
    if run.seconds is None:
        return f"{runs}, of a length not known yet"
    length = duration(run.seconds) if run.is_exact else roughly(run.seconds)
    if run.gpus:
        all_hours = two_digits(count * run.seconds * run.gpus / 3600)
        total = f", {several(run.gpus, 'GPU')} each: about {all_hours} GPU-hours"
    else:
        at_once = loop.slots(search, search.max_parallel) * search.seeds
        total = f", {at_once} at a time: {roughly(count * run.seconds / at_once)} in all"
    return f"{runs} of {length}{total} ({source([run])}); what is pruned ends sooner"


def runs_left(search: Search, conditions: Conditions, study: optuna.Study | None, trials: int) -> int:
    """Return how many runs there are still, at most: of so many trials, and of the best again with more seeds."""
    more = max(0, search.final_seeds - search.seeds)
    if trials or study is None or not more:
        return trials * search.seeds + more * search.finalists
    chosen = result.spaced(result.good(search, study), search.finalists) if search.finalists else []
    finals = result.final_runs(search, chosen, conditions)
    return sum(not RunFolder(search.root / run.key).is_finished for run in finals)
