"""One search from its words to its result: `python -m gapo_lab.run -m +sweep=tau_search`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from rich.console import Console

from gapo_lab.errors import Interrupted, RunFailed
from gapo_lab.runs import study_leader
from gapo_lab.runs.naming import shown
from gapo_lab.search import loop, names, report, result, samplers, storage
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.loop import Loop
from gapo_lab.search.result import Result
from gapo_lab.search.settings import Search, make_search
from gapo_lab.search.trial_runs import ClusterRuns, Runs
from gapo_lab.search.trials import Proposer
from gapo_lab.utils import atomic_files
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.prose import say
from gapo_lab.utils.stop_signals import interrupted_by_sigterm


def carry_out(words: Sequence[str], console: Console | None = None) -> Result | None:
    """Search, measure the best again, show and keep the result. UserError, RunFailed, Interrupted as a sweep."""
    console = console or Console(width=None if Console().is_terminal else 120)
    search = make_search(words)
    with study_leader.leading(search.root, [search.study]):
        conditions = Conditions(search.space, search.first_seed)
        conditions.check()
        return carry_out_search(search, conditions, ClusterRuns(search.root), console)


def carry_out_search(
    search: Search,
    conditions: Conditions,
    runs: Runs,
    console: Console,
    write: Callable[[Search, optuna.Study, Result, Console], None] = report.write,
    keep: Callable[[Search, optuna.Study], None] = report.keep_trials,
) -> Result | None:
    """As `carry_out`, over any kind of runs. ``write``: what is made of the result at the end; ``keep``: of the trials,
    after each."""
    warnings.simplefilter("ignore", ExperimentalWarning)
    (
        samplers.sampler(search.sampler, search.space, 0),
        samplers.pruner(search.pruner),
    )  # is their config right?
    with storage.alone(search):
        study = storage.open_study(search)
        say(console, "\n".join(introduction(search, conditions)), markup=False)
        slots, most = loop.slots(search, search.max_parallel), loop.most(search)
        proposer = Proposer(search, study, conditions)
        try:
            with interrupted_by_sigterm():
                try:
                    Loop(
                        search, study, proposer, runs, console, slots, most, after_each=lambda: keep(search, study)
                    ).run()
                except (KeyboardInterrupt, Interrupted, RunFailed) as stop:
                    runs.stop(stop)
                    raise
        except (KeyboardInterrupt, Interrupted) as stop:
            raise Interrupted("stopped; the same command goes on with the same trials") from stop
        found = result.of(search, study, conditions, runs)
        if found is None:
            console.print("no trial was finished, so there is no best one", highlight=False)
            return None
        for one in found.candidates:
            search.record(one.trial, dict(zip(one.keys, zip(*one.numbers, strict=True), strict=True)))
        atomic_files.write_json(search.folder / "result.json", found.as_dict())
        result.show(found, console)
        write(search, study, found, console)
        return found


def introduction(search: Search, conditions: Conditions) -> list[str]:
    """Return what is searched, by whom, what all trials share, and where one can look."""
    axes = ", ".join(_axis(axis) for axis in search.space.axes)
    aims = ", ".join(f"{one.direction} {one.name}" for one in search.objectives)
    who = search.sampler["_target_"].rpartition(".")[2]
    stops = search.pruner["_target_"].rpartition(".")[2]
    stops = "nothing is pruned: Optuna prunes a single objective only" if not search.single else stops
    seeds = f"{search.seeds} seed{'s' if search.seeds > 1 else ''} a trial"
    finals = f", the best {search.finalists} with {search.final_seeds}" if search.finalists else ""
    how = f"{loop.most(search)} trials, {loop.slots(search, search.max_parallel)} at a time, {seeds}{finals}"
    return [
        f"search {search.study}: {aims} over {axes}",
        f"{how} | {who}, {stops}",
        f"all trials: {names.in_common(conditions)}",
        f"follow the runs: {lab_command('watch', search.study, root=search.root)}",
        f"in the browser: optuna-dashboard {storage.address(search)}",
    ]


def _axis(axis) -> str:
    if axis.choices:
        return f"{axis.key} in {', '.join(axis.texts)}"
    return f"{axis.key} from {shown(axis.low)} to {shown(axis.high)}{' (log)' if axis.log else ''}"
