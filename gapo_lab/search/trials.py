"""A trial: Optuna's, with the runs that measure it. Proposing one twice gives the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from gapo_lab.planning import plan
from gapo_lab.planning.plan import Action, Planned
from gapo_lab.search import samplers
from gapo_lab.search.conditional_axes import Conditions
from gapo_lab.search.settings import Search

# What a trial is told of beside Optuna's own: its runs' words and keys, which of them this search started, why it
# failed, and which failed trial it repeats.
WORDS, KEYS, STARTED, WHY, INVALID, REPEATS = "words", "keys", "started", "why", "invalid", "repeats"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass
class Live:
    """A trial that goes on. ``reported``: the last step that the pruner has seen."""

    trial: Trial
    words: tuple[str, ...]
    runs: tuple[Planned, ...]
    reported: int = 0
    started: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def keys(self) -> list[str]:
        return [run.spec.key for run in self.runs if run.spec]

    @property
    def wrong(self) -> str:
        """Why one of its runs cannot be; '' where all can."""
        return next((run.why for run in self.runs if run.action == Action.INVALID), "")


class Proposer:
    """Makes trials of the space: new ones, and those that an earlier life of the search left under way."""

    def __init__(self, search: Search, study: optuna.Study, conditions: Conditions) -> None:
        self.search, self.study, self.conditions = search, study, conditions

    def new(self) -> Live:
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        number = min((trial.number for trial in trials), default=len(self.study.get_trials(deepcopy=False)))
        self.study.sampler = samplers.sampler(self.search.sampler, self.search.space, number)
        return self._live(self.study.ask())

    def again(self, frozen: FrozenTrial) -> Live:
        """Return the trial as it was proposed; what was not written down is proposed anew, with the same outcome."""
        self.study.sampler = samplers.sampler(self.search.sampler, self.search.space, frozen.number)
        return self._live(Trial(self.study, frozen._trial_id))

    def _live(self, trial: Trial) -> Live:
        params: dict[str, Any] = {}
        chosen: tuple[str, ...] = ()
        for axis in self.search.space.axes:
            if self.conditions.active(axis, chosen):
                params[axis.key] = axis.suggest(trial)
                if axis.choices:
                    chosen = (*chosen, axis.word(params[axis.key]))
        words = self.search.space.words(params)
        live = Live(trial, words, runs_of(self.search, words, self.search.seeds, self.conditions))
        frozen = trial.study._storage.get_trial(trial._trial_id)
        if frozen.user_attrs.get(KEYS) != live.keys:
            trial.set_user_attr(WORDS, list(words))
            trial.set_user_attr(KEYS, live.keys)
        live.started = list(frozen.user_attrs.get(STARTED, ()))
        live.reported = max(frozen.intermediate_values, default=0)
        return live

    def unfinished(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def count(self, *states: TrialState) -> int:
        return len(self.study.get_trials(deepcopy=False, states=states))

    def repeat_failed(self, most: int) -> None:
        """Put failed trials that nobody has repeated back into the queue, at most so many."""
        trials = self.study.get_trials(deepcopy=False)
        repeated = {trial.user_attrs.get(REPEATS) for trial in trials}
        failed = [t for t in trials if t.state == TrialState.FAIL and t.params and not t.user_attrs.get(INVALID)]
        for trial in [t for t in failed if t.number not in repeated][: max(0, most)]:
            self.study.enqueue_trial(trial.params, user_attrs={REPEATS: trial.number})


def runs_of(search: Search, words: Sequence[str], count: int, conditions: Conditions) -> tuple[Planned, ...]:
    """Return the runs of these words with ``count`` seeds, not yet held against the run folders."""
    cells = [(*words, f"seed={seed}") for seed in search.seeds_of(count)]
    return tuple(_without_search(run) for run in plan.draft(cells, conditions.composer))


def _without_search(run: Planned) -> Planned:
    """How a run came to be proposed is none of its settings."""
    if not run.settings:
        return run
    return replace(run, settings={k: v for k, v in run.settings.items() if not k.startswith("search.")})
