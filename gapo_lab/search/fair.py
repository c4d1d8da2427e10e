"""A fair sweep: first each method's own settings by the dev set, then all methods at theirs, with fresh seeds.

Both stages are plans of ordinary runs; the first is a study of its own, `STUDY_tuning`. Nothing is kept but the runs:
the same command reads them again and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from gapo_lab.config.fast_compose import Composer
from gapo_lab.data import dev_set
from gapo_lab.errors import UserError
from gapo_lab.launch import executor
from gapo_lab.planning import plan
from gapo_lab.planning.plan import Plan
from gapo_lab.planning.planned import Action, Planned
from gapo_lab.runs import measures, study_leader
from gapo_lab.runs.folder import RunFolder
from gapo_lab.search.open_claims import Cell
from gapo_lab.search.tuning import STUDY, Choice, Words, candidates, choose, measured
from gapo_lab.utils.key_names import short
from gapo_lab.utils.prose import say
from gapo_lab.utils.text import several
from gapo_lab.utils.value_rules import problem

KEY = "fair"
# Seeds of the first stage, which the second one never sees.
TUNING_SEED = 1000
# Each run of a stage by its overrides.
Runs = Mapping[Cell, Planned]


@dataclass(frozen=True)
class Fair:
    """`fair:` of a sweep file. by: a metric of the dev set. tuning_seeds, seeds: how many in either stage."""

    by: str
    tuning_seeds: int
    seeds: int
    candidates: Mapping[str, object]

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Fair:
        """Read it. UserError naming what is missing or cannot be."""
        for name in ("tuning_seeds", "seeds"):
            if wrong := problem(node.get(name), f"whole [1, {TUNING_SEED}]"):
                raise UserError(f"fair.{name}={node.get(name)}: {wrong}")
        by = str(node.get("by"))
        if not by.startswith("val/dev/"):
            raise UserError(f"fair.by={by}: must be a metric of the dev set, as val/dev/em_expected")
        return cls(by, node["tuning_seeds"], node["seeds"], dict(node.get("candidates") or {}))


class FairSweep:
    """The two stages over the cells of a sweep, whose own seeds do not count."""

    def __init__(self, cells: Sequence[Sequence[str]], node: Mapping[str, Any]) -> None:
        self._composer = Composer()
        self.fair = Fair.of(node)
        bare = dict.fromkeys(tuple(word for word in words if not word.startswith("seed=")) for words in cells)
        drafted = plan.draft([(*cell, "seed=0") for cell in bare], self._composer)
        self.invalid = [run for run in drafted if run.spec is None]
        self.cells: dict[Cell, Planned] = {
            cell: run for cell, run in zip(bare, drafted, strict=True) if run.spec is not None
        }
        if not self.cells:
            raise UserError(self.invalid[0].why if self.invalid else "fair: the sweep has no cells")
        for run in self.cells.values():
            if why := dev_set.lack(run.node("data")):
                raise UserError(f"fair.by={self.fair.by} is measured on a dev set, and {why}")
        self.root = executor.root_of(list(self.cells.values()))
        methods = list(dict.fromkeys(run.valid_spec.algo for run in self.cells.values()))
        self.candidates = candidates(self.fair.candidates, methods, lambda name: self._composer.has("algo", name))
        # what is tuned: a method on a model, without noise where it can be
        self.tuned: dict[tuple[str, str], Cell] = {}
        for cell, run in sorted(self.cells.items(), key=lambda item: item[1].valid_spec.noise):
            self.tuned.setdefault(self._at(run), cell)

    @staticmethod
    def _at(run: Planned) -> tuple[str, str]:
        return run.valid_spec.algo, run.valid_spec.model

    def tuning(self) -> Runs:
        """Return the runs of the first stage."""
        return self._drafted(
            self._tried(cell, words, seed)
            for seed in range(self.fair.tuning_seeds)
            for (method, _), cell in self.tuned.items()
            for words in self.candidates[method]
        )

    def _drafted(self, words: Iterable[Cell]) -> Runs:
        wanted = list(words)
        return dict(zip(wanted, plan.draft(wanted, self._composer), strict=True))

    def _tried(self, cell: Cell, words: Words, seed: int) -> Cell:
        study = f"study={STUDY.format(self.cells[cell].valid_spec.study)}"
        return (*(word for word in cell if not word.startswith("study=")), *words, study, f"seed={TUNING_SEED + seed}")

    def choices(self, tuning: Runs) -> list[Choice]:
        """Return what the finished runs of the first stage choose. UserError where one has not measured `fair.by`."""
        return [self._choice(at, tuning) for at in self.tuned]

    def choices_so_far(self, tuning: Runs) -> list[Choice]:
        """Return the same of the methods whose candidates have all finished."""
        tried = {at: self.tries(at, tuning) for at in self.tuned}
        return [self._choice(at, tuning) for at, runs in tried.items() if all(map(self.is_finished, runs))]

    def tries(self, at: tuple[str, str], tuning: Runs) -> list[Planned]:
        """Return the runs of the first stage that tune a method on a model, (method, model)."""
        seeds = range(self.fair.tuning_seeds)
        return [tuning[self._tried(self.tuned[at], words, seed)] for words in self.candidates[at[0]] for seed in seeds]

    def is_finished(self, run: Planned) -> bool:
        return RunFolder(self.root / run.key).is_finished

    def _choice(self, at: tuple[str, str], tuning: Runs) -> Choice:
        (method, model), seeds = at, self.fair.tuning_seeds
        values = [self._value(run) for run in self.tries(at, tuning)]
        by_candidate = [values[start : start + seeds] for start in range(0, len(values), seeds)]
        return choose(method, model, self.candidates[method], by_candidate)

    def _value(self, run: Planned) -> float:
        folder = RunFolder(self.root / run.key)
        value = measured(folder.merged_metrics(), self.fair.by)
        if value is None:
            raise UserError(f"fair.by={self.fair.by}: was not measured by {folder.path}. Name a metric that it has")
        return value

    def comparison(self, chosen: Sequence[Choice]) -> Runs:
        """Return the runs of the second stage: every cell at what was chosen for its method and model, those without a
        choice left out."""
        best = {(one.method, one.model): one.best for one in chosen}
        return self._drafted(
            (*cell, *best[self._at(run)], f"seed={seed}")
            for seed in range(self.fair.seeds)
            for cell, run in self.cells.items()
            if self._at(run) in best
        )

    def first_guess(self) -> list[Choice]:
        """Return each method's first candidate, to see what the second stage will cost."""
        return [
            Choice(method, model, self.candidates[method], (), self.candidates[method][0], None)
            for method, model in self.tuned
        ]


def carry_out(
    cells: Sequence[Sequence[str]],
    node: Mapping[str, Any],
    *,
    skip_invalid: bool = False,
    console: Console | None = None,
) -> None:
    """Run both stages, one after the other. Errors as `executor.carry_out`."""
    console = console or Console(width=None if Console().is_terminal else 120)
    sweep = FairSweep(cells, node)
    if sweep.invalid and not skip_invalid:
        raise UserError(f"{sweep.invalid[0].name}: {sweep.invalid[0].why}")
    _say(console, "stage 1: each method's own settings, by the dev set")
    with study_leader.leading(sweep.root, [run.valid_spec.study for run in sweep.cells.values()]):
        tuning = sweep.tuning()
        executor.carry_out(_plan(tuning), wait=True, console=console)
        chosen = sweep.choices(tuning)
        show(chosen, sweep.fair, console)
        _say(console, f"stage 2: all methods at theirs, {several(sweep.fair.seeds, 'fresh seed')}")
        executor.carry_out(_plan(sweep.comparison(chosen)), wait=True, console=console)


def plans(cells: Sequence[Sequence[str]], node: Mapping[str, Any], console: Console) -> tuple[Plan, Plan]:
    """Return the plans of both stages. What was chosen is printed where the first stage is finished; until then the
    second stage stands at each method's first candidate."""
    sweep = FairSweep(cells, node)
    runs = sweep.tuning()
    tuning = _plan(runs)
    if all(run.action is Action.SKIP for run in tuning.runs):
        chosen = sweep.choices(runs)
        show(chosen, sweep.fair, console)
    else:
        chosen = sweep.first_guess()
    return tuning, _plan(sweep.comparison(chosen))


def _plan(runs: Runs) -> Plan:
    return executor.over_folders(list(runs.values()))


def show(chosen: Sequence[Choice], fair: Fair, console: Console) -> None:
    """Print a line a method: the mean of each candidate on the dev set, which was chosen, and where it is at the edge
    of what was tried."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("model", "method", f"{fair.by}, mean of {several(fair.tuning_seeds, 'seed')}", "chosen"):
        table.add_column(head, overflow="fold")
    measure = fair.by.split("/", 2)[2]
    for one in chosen:
        tried = ", ".join(
            f"{_short(words)}: {measures.shown(measure, mean)}"
            for words, mean in zip(one.candidates, one.means, strict=True)
        )
        table.add_row(one.model, one.method, tried, _short(one.best))
    console.print(table)
    for one in chosen:
        if one.edge:
            _say(
                console,
                f"{one.method} on {one.model}: {_short((one.edge,))} is at the edge of what was tried. Try values "
                f"beyond it: fair.candidates.{one.method}",
            )


def _short(words: Words) -> str:
    """``tau=0.3 lr=1e-4`` of words with long keys."""
    pairs = [word.partition("=") for word in words]
    keys = {key for key, _, _ in pairs}
    return " ".join(f"{short(key, keys)}={value}" for key, _, value in pairs)


def _say(console: Console, text: str) -> None:
    say(console, text, markup=False)
