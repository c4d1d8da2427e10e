"""`seed=auto`: runs of claims' cells until every claim is decided, or the budget ends.

Looking after every seed costs no error: a claim is decided by an e-process (gapo_lab/utils/e_process.py). Nothing is
kept but the runs: the same command reads them again and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from rich.console import Console

from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.launch import executor, run_states
from gapo_lab.planning import plan
from gapo_lab.planning.allowed_values import COUNT
from gapo_lab.planning.plan import Plan
from gapo_lab.planning.planned import Planned
from gapo_lab.runs import claims, picked, study_leader
from gapo_lab.runs.claims import Claim
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.status import NEW, RunStatus, State
from gapo_lab.search.open_claims import Cell, Decision, decide, grown, pairs
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import several
from gapo_lab.utils.value_rules import problem

WORD = "seed=auto"
# Each run of a sweep by its cell and its seed.
Runs = Mapping[tuple[Cell, int], Planned]


@dataclass(frozen=True)
class Budget:
    """`auto:` of the configuration. first, step, most: seeds of a cell; hours: GPU-hours of all runs, or None."""

    first: int
    step: int
    most: int
    hours: float | None

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Budget:
        """Read it from the settings of a run. UserError for what is no budget."""
        said = {name: settings[f"auto.{name}"] for name in ("first", "step", "most", "hours")}
        for name in ("first", "step", "most"):
            if wrong := problem(said[name], COUNT):
                raise UserError(f"auto.{name}={said[name]}: {wrong}")
        if problem(said["hours"], "(0, inf) or null"):
            raise UserError(f"auto.hours={said['hours']}: must be a number of hours above 0, or null")
        budget = cls(**said)  # type: ignore[arg-type]
        if budget.first > budget.most:
            raise UserError(f"auto.first={budget.first}: is more than auto.most={budget.most}")
        return budget


def is_asked(cells: Sequence[Sequence[str]]) -> bool:
    """Whether the cells of a sweep leave their seeds to this. UserError where only some of them do."""
    asked = sum(WORD in cell for cell in cells)
    if 0 < asked < len(cells):
        raise UserError(f"{WORD}: stands beside other seeds. Leave the others out")
    return asked > 0


class AutoSeeds:
    """A sweep whose seeds are added as its claims need them."""

    def __init__(self, cells: Sequence[Sequence[str]]) -> None:
        self._composer = Composer()
        self.cells: dict[Cell, Planned] = {}
        for words in cells:
            cell = tuple(word for word in words if word != WORD)
            (self.cells[cell],) = plan.draft([(*cell, "seed=0")], self._composer)
        self.root = executor.root_of(list(self.cells.values()))
        valid = [run for run in self.cells.values() if run.spec]
        self.valid = {cell: run for cell, run in self.cells.items() if run.spec}
        self.budget = Budget.of(valid[0].settings) if valid else Budget(1, 1, 1, None)
        self.claims: tuple[Claim, ...] = claims.read(valid[0].settings.get("claims")) if valid else ()
        if valid and not self.claims:
            raise UserError(
                f"{WORD}: adds seeds to what is claimed, and nothing is. Name it: "
                "'claims=[METHOD over BASELINE on val/id/em]'"
            )
        for claim in self.claims:
            pairs(claim, self.valid)
        self.seeds = dict.fromkeys(self.cells, self.budget.first)

    def runs(self) -> Runs:
        """Return the runs of the seeds that the cells have now; the seeds go round slowest."""
        most = max(self.seeds.values(), default=0)
        wanted = [(cell, seed) for seed in range(most) for cell in self.cells if seed < self.seeds[cell]]
        drafted = plan.draft([(*cell, f"seed={seed}") for cell, seed in wanted], self._composer)
        return dict(zip(wanted, drafted, strict=True))

    def decisions(self, runs: Runs) -> list[Decision]:
        """Return what the finished ones of these runs say of the claims. UserError where a metric was not measured."""
        states = self._states(runs)
        finished = {
            where for where, run in runs.items() if run.spec and states.get(run.key, NEW).state is State.FINISHED
        }
        there = {
            cell: next((n for n in range(self.seeds[cell]) if (cell, n) not in finished), self.seeds[cell])
            for cell in self.valid
        }

        @cache
        def merged(key: str) -> Mapping[int, Mapping[str, float]]:
            return RunFolder(self.root / key).merged_metrics()

        def value(cell: Cell, seed: int, metric: str) -> float:
            key = runs[cell, seed].key
            found = picked.value(merged(key), metric)
            if found is None:
                raise UserError(f"claims: {metric}: was not measured by {self.root / key}. Name a metric that it has")
            return found

        return decide(self.claims, self.valid, there, value)

    def spent(self, runs: Runs) -> float:
        """Return the GPU-hours of the finished ones of these runs, hours of runs where there is no GPU."""
        gpus = {run.key: max(1, run.gpus) for run in runs.values() if run.spec}
        return sum((state.wall_seconds or 0.0) * gpus[key] for key, state in self._states(runs).items()) / 3600

    def _states(self, runs: Runs) -> Mapping[str, RunStatus]:
        return run_states.read(self.root, list(dict.fromkeys(run.key for run in runs.values() if run.spec)))


def carry_out(cells: Sequence[Sequence[str]], *, skip_invalid: bool = False, console: Console | None = None) -> None:
    """Run the first seeds of every cell, then more of the cells of open claims. Errors as `executor.carry_out`."""
    console = console or Console(width=None if Console().is_terminal else 120)
    study = AutoSeeds(cells)
    with study_leader.leading(study.root, [run.valid_spec.study for run in study.valid.values()]):
        _until_decided(study, skip_invalid, console)


def _until_decided(study: AutoSeeds, skip_invalid: bool, console: Console) -> None:
    runs = study.runs()
    while True:
        wanted = executor.over_folders(list(runs.values()))
        executor.carry_out(wanted, skip_invalid=skip_invalid, wait=True, console=console)
        decisions = study.decisions(runs)
        show(decisions, console)
        if all(one.bet.is_decided for one in decisions):
            return
        before, study.seeds = study.seeds, grown(study.seeds, decisions, study.budget.step, study.budget.most)
        if study.seeds == before:
            _say(console, f"every open claim has the {study.budget.most} seeds of auto.most. The rest stays open")
            return
        runs = study.runs()
        if ends := _over_budget(study, runs):
            _say(console, ends)
            return


def _over_budget(study: AutoSeeds, runs: Runs) -> str:
    """Say why these runs are not started; '' where there is room for them, or all are there already."""
    if study.budget.hours is None:
        return ""
    todo = executor.over_folders(list(runs.values())).todo
    if not todo:
        return ""
    spent, more = study.spent(runs), sum(run.seconds_left * max(1, run.gpus) for run in todo) / 3600
    if spent + more <= study.budget.hours:
        return ""
    return (
        f"{spent:.2g} hours are spent, and {several(len(todo), 'more run')} would take {more:.2g}: more than "
        f"auto.hours={study.budget.hours:g}. The rest stays open"
    )


def show(decisions: Sequence[Decision], console: Console) -> None:
    """Print a line a claim: what its seeds say."""
    for one in decisions:
        bet = one.bet
        said = f"decided: {bet.verdict}" if bet.is_decided else "open"
        _say(
            console,
            f"{one.claim}: {said} after {several(bet.n, 'seed')}, difference {bet.mean:+.4g}, "
            f"E = {bet.e:.3g} of {bet.bar:g}",
        )


def first_plan(cells: Sequence[Sequence[str]]) -> tuple[Plan, str]:
    """Return the plan of the first seeds, and what may come after them."""
    study = AutoSeeds(cells)
    budget = study.budget
    bound = f", or {budget.hours:g} hours are spent" if budget.hours else ""
    later = (
        f"then {several(budget.step, 'seed')} at a time for the cells of open claims, until "
        f"every claim is decided, or the open ones have {budget.most} seeds{bound}"
    )
    return executor.over_folders(list(study.runs().values())), later


def _say(console: Console, text: str) -> None:
    say(console, text, markup=False)
