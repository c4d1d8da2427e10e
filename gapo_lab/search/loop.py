"""The search itself: a free slot gets a trial, a trial's curve goes to the pruner, its end to the sampler.

Everything that must outlive this process is in Optuna's storage and in the run folders, and is written before it
is acted upon: the loop can be killed at any moment, and the next one goes on with the same trials. A trial is
judged step by step in order, also where its runs were quicker than the loop: what a search finds depends on its
curves and not on the clock (with one slot; with several, the order of the trials does).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.markup import escape

from gapo_lab.errors import RunFailed
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.history import History, only
from gapo_lab.runs.metrics import values
from gapo_lab.runs.status import ACTIVE, Cause, State
from gapo_lab.search import lost_verdict, names, objective
from gapo_lab.search.live_trials import LiveTrials
from gapo_lab.search.settings import Search
from gapo_lab.search.trial_runs import Runs
from gapo_lab.search.trials import DONE, INVALID, STARTED, WHY, Live, Proposer
from gapo_lab.utils.prose import say

# states of a run that has finished or will
GOOD = (State.FINISHED, *ACTIVE)


@dataclass
class Loop:
    """Carries the trials of one search out. ``sleep`` waits between two looks, in seconds; ``after_each`` is called
    when a trial has ended."""

    search: Search
    study: optuna.Study
    proposer: Proposer
    runs: Runs
    console: Console
    slots: int = 1
    most: int = 0
    sleep: Callable[[float], None] = time.sleep
    after_each: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.live: list[Live] = []
        self._histories: dict[str, History] = {}  # of the runs of live trials
        self.failed = 0  # in a row

    def run(self) -> None:
        """Until all trials have ended. RunFailed after too many failures in a row."""
        self._take_up()
        with LiveTrials(self.search.root, self.search.space, self.console) as screen:
            while True:
                self.runs.tick()
                for live in list(self.live):
                    self._look(live)
                self._fill()
                if not self.live and not self.runs.ending:
                    return
                screen.show(self.live)
                self.sleep(self.search.every)

    def _take_up(self) -> None:
        """Go on with what an earlier life of this search has left."""
        left, done = self.proposer.unfinished(), self.proposer.count(*DONE)
        if left or done:
            under_way = f", {len(left)} under way" if left else ""
            self.console.print(f"goes on: {done} of {self.most} trials done{under_way}", highlight=False)
        self.proposer.repeat_failed(self.most - done - len(left) - self.proposer.count(TrialState.WAITING))
        for frozen in left:
            self._open(self.proposer.again(frozen))

    def _fill(self) -> None:
        while (
            len(self.live) + self.runs.ending < self.slots
            and self.proposer.count(*DONE, TrialState.RUNNING) < self.most
        ):
            self._open(self.proposer.new())

    def _open(self, live: Live) -> None:
        """Start the runs of a trial, unless what is there of them already decides it."""
        if live.wrong:
            live.trial.set_user_attr(INVALID, True)
            self._fail(live, live.wrong)
            return
        self.live.append(live)
        self.search.record(live.number, dict.fromkeys(live.keys, ()))
        if live.reported and (stop := lost_verdict.said(self.study, live.trial)) is not None:
            self._prune(live, live.reported, stop)
            return
        if self._look(live, started=False):
            return
        # only what is started here may be ended here
        found = self.runs.look(live.keys)
        mine = [key for key in live.keys if found[key].state not in GOOD]
        if set(mine) - set(live.started):
            live.started = sorted({*live.started, *mine})
            live.trial.set_user_attr(STARTED, live.started)
        self.runs.start(live.runs)
        self._say(live, f"starts ({', '.join(live.keys)})" if mine else "its runs are there already", "cyan")

    def _look(self, live: Live, started: bool = True) -> bool:
        """Judge what is new of a trial; whether it has ended. ``started``: its runs should be queued, or more."""
        # the states first: what is finished then has all of its metrics now
        found = self.runs.look(live.keys)
        if self.search.single and self._judge(live, [values(self._history(key).look()) for key in live.keys]):
            return True
        states = {key: found[key].state for key in live.keys}
        if set(states.values()) == {State.FINISHED}:
            self._complete(live, [RunFolder(self.search.root / key).merged_metrics() for key in live.keys])
            return True
        bad = [key for key, state in states.items() if state not in GOOD]
        if started and bad:
            status = found[bad[0]]
            said = status.message.strip() or ("was not started" if status.state is State.NEW else status.state)
            self._fail(live, f"run {bad[0]}: {said.splitlines()[-1]}")
            return True
        return False

    def _history(self, key: str) -> History:
        """Return what is judged of a run while it goes on, read as it comes."""
        return self._histories.setdefault(key, History(self.search.root / key, only(self.search.watch)))

    def _judge(self, live: Live, curves: list) -> bool:
        """Show the pruner each new step, in order; whether it stops the trial."""
        for step, value in objective.curve(curves, self.search.watch, live.reported):
            live.trial.report(value, step)
            live.reported = step
            if live.trial.should_prune():
                self._prune(live, step, value)
                return True
        return False

    # How a trial ends

    def _prune(self, live: Live, step: int, value: float) -> None:
        self._end_runs(live, Cause.PRUNED, f"pruned at step {step}")
        self.study.tell(live.trial, state=TrialState.PRUNED)
        self._over(live)
        self._say(live, f"pruned at step {step}, {self.search.watch} {value:.4g}", "yellow")

    def _complete(self, live: Live, curves: list) -> None:
        numbers = [one.mean(curves) for one in self.search.objectives]
        if any(math.isnan(number) for number in numbers):
            self._fail(live, "its value is not a number")
            return
        by_run = [[one.value(curve) for one in self.search.objectives] for curve in curves]
        self.search.record(live.number, dict(zip(live.keys, by_run, strict=True)))
        before = self._best()
        self.study.tell(live.trial, numbers)
        self._over(live)
        self.failed = 0
        named = zip(self.search.objectives, numbers, strict=True)
        text = ", ".join(f"{one.name} {number:.4g}" for one, number in named)
        self._say(live, text + ("  best so far" if self._best() != before else ""), "green")

    def _fail(self, live: Live, why: str) -> None:
        self._end_runs(live, Cause.CANCELLED)
        live.trial.set_user_attr(WHY, why)
        self.study.tell(live.trial, state=TrialState.FAIL)
        self._over(live)
        self._say(live, f"failed: {why}", "red")
        self.failed += 1
        if self.failed >= self.search.failures:
            raise RunFailed(
                f"{self.failed} trials in a row failed, the last with: {why}. Fix the cause, and the same command "
                "goes on and repeats them"
            )

    def _end_runs(self, live: Live, cause: Cause, why: str = "") -> None:
        """End the runs that this search started and no other trial of it needs."""
        needed = {key for other in self.live if other is not live for key in other.keys}
        if keys := [key for key in live.keys if key in live.started and key not in needed]:
            self.runs.end(keys, cause, why)

    def _over(self, live: Live) -> None:
        self.live = [other for other in self.live if other is not live]
        for key in live.keys:
            self._histories.pop(key, None)
        self.after_each()

    def _best(self) -> list[int]:
        try:
            return [trial.number for trial in self.study.best_trials]
        except ValueError:
            return []

    def _say(self, live: Live, text: str, style: str) -> None:
        name = f"trial {live.number}  {names.of_trial(self.search.space, live.trial.params)}"
        say(self.console, f"{time.strftime('%H:%M:%S')} {escape(name)}  [{style}]{escape(text)}[/]")


def slots(search: Search, max_parallel: int) -> int:
    """Trials at a time: as asked, as far as there is room for their runs."""
    return max(1, min(search.parallel, max_parallel // search.seeds))


def most(search: Search) -> int:
    """Trials in all; a grid has no more than its combinations."""
    if search.sampler.get("_target_", "").endswith(".Grid") and search.space.size:
        return min(search.trials, search.space.size)
    return search.trials
