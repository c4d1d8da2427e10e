"""The numbers of a cell: one curve and one value a seed, for one metric. And what unit a metric is shown in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from analysis.results import curves as reducing
from analysis.results import spending
from analysis.results.curves import Curve
from analysis.results.runs import Cell, Selection
from analysis.results.source import Source
from gapo_lab.errors import UserError
from gapo_lab.runs import measures
from gapo_lab.runs.picked import DEV, choosing

ID, OOD = "val/id/em", "val/ood/em"
CLIPPED, THROUGHPUT = "actor/pg_clipfrac", "perf/throughput"
_SHARE = re.compile(r"(^|/)(em|acc|similarity)(_greedy|_expected(_t\d+)?)?$")
# Shares that are a number of right answers among the test cases.
_COUNTED = re.compile(r"(^|/)(em|acc)(_greedy)?$")
_SUMMARY = re.compile(r"^(first|best|final|mean)/")
MOST_CASES = 20_000  # a test set larger than this is not guessed from its accuracies


@dataclass(frozen=True)
class Trials:
    """A cell's finished trials for one metric, by seed; values are unrounded, in the metric's own unit.

    ``spent``: of each kind of spending the sums up to each step, by seed. ``steps``: the step that was chosen for
    each value; empty where none was chosen.
    """

    cell: Cell
    curves: Mapping[int, Curve]
    values: Mapping[int, float]
    spent: Mapping[str, Mapping[int, Curve]] = field(default_factory=dict)
    steps: Mapping[int, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The mean over seeds, or None where there is none."""
        return math.fsum(self.values.values()) / len(self.values) if self.values else None

    @property
    def untrained(self) -> int:
        """How many values were chosen at step 0, before training."""
        return sum(self.steps.get(seed) == 0 for seed in self.values)


@dataclass(frozen=True)
class Measured:
    """One metric over all cells of a selection. ``read``: the metric that was read for it, such as what is expected."""

    metric: str
    pick: str
    by_cell: Mapping[str, Trials]
    test_cases: int | None = None
    cases_guessed: bool = False
    read: str = ""

    @property
    def name(self) -> str:
        """The metric whose values these are."""
        return self.read or self.metric

    @property
    def is_no_result(self) -> bool:
        """Whether some of the numbers are a rehearsal's or a smoke run's: they may be shown, and nothing said of
        them."""
        return any(run.is_rehearsal or run.is_smoke for trials in self.by_cell.values() for run in trials.cell.runs)

    @property
    def is_share(self) -> bool:
        """Shown in percent."""
        return bool(_SHARE.search(self.metric))

    @property
    def scale(self) -> float:
        return 100.0 if self.is_share else 1.0

    def text(self, value: float, signed: bool = False) -> str:
        """``value`` as it is printed: percent with two decimals, or four significant digits."""
        shown = value * self.scale
        if self.is_share or not shown or not math.isfinite(shown):
            return number(shown, 2, signed)
        return number(shown, min(8, max(0, 3 - math.floor(math.log10(abs(shown))))), signed)


def number(value: float, decimals: int, signed: bool = False) -> str:
    """``value`` with so many decimals; what rounds to nothing has no sign."""
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.lstrip("+-") if not text.strip("+-0.") else text


def default_pick(metric: str, has_dev: bool = False) -> str:
    """``dev`` for what a validation measures, ``final`` where there is no dev set; a mean for what is no validation.

    ``best`` chooses a step by the set that it reports: it flatters.
    """
    if _SUMMARY.match(metric):
        return "final"
    if metric.startswith("val/"):
        return "dev" if has_dev else "final"
    return "mean"


def measure(
    source: Source,
    selection: Selection,
    metric: str,
    pick: str | None = None,
    cases: Mapping[str, int] | None = None,
    exactly: bool = False,
) -> Measured:
    """Read one metric of all finished runs. ``cases``: {validation set: test cases}, where known.

    For exact match what is expected of it is read where every run has that, unless it is to be read ``exactly``.
    UserError for ``pick=dev`` where some run has no dev set.
    """
    ids = [run.id for run in selection.runs]
    read = metric if exactly else expected(source, ids, metric)
    by_run = source.curves(ids, read)
    dev = _dev(source, ids, metric) if metric.startswith("val/") and pick in (None, "dev") else {}
    pick = pick or default_pick(metric, bool(dev))
    if pick == "dev" and not dev:
        raise UserError(f"--pick dev: not every run has measured {' or '.join(DEV)}. Take --pick final.")
    sums = spending.spent(source, ids) if metric.startswith("val/") else {}
    by_cell = {}
    for cell in selection.cells:
        found = {run.seed: by_run[run.id] for run in cell.runs if run.id in by_run}
        chosen = {run.seed: dev[run.id] for run in cell.runs if run.id in dev}
        mine = {kind: {run.seed: by_id[run.id] for run in cell.runs if run.id in by_id} for kind, by_id in sums.items()}
        values, steps = reducing.reduced(found, pick, chosen)
        by_cell[cell.id] = Trials(cell, found, values, mine, steps)
    known = _known_cases(metric, selection.cells, cases or {})
    guessed = None
    if known is None and _COUNTED.search(read):
        guessed = guess_cases(v for t in by_cell.values() for c in t.curves.values() for v in c.values[:50].tolist())
    return Measured(metric, pick, by_cell, known or guessed, known is None and guessed is not None, read)


def at_the_end(one: Measured) -> Measured:
    """Return the same metric with the last value of each run in place of the one at a chosen step."""
    ended = {
        name: replace(trials, values=reducing.reduce(trials.curves, "final"), steps={})
        for name, trials in one.by_cell.items()
    }
    return replace(one, pick="final", by_cell=ended)


def once_trained(one: Measured) -> Measured:
    """Return a metric of the dev set with each run's best value after its first step in place of the best of all.

    Where all that was tried makes the model worse, the value before training would be the best of each.
    """

    def trained(trials: Trials) -> Trials:
        curves = {seed: curve.after(0) for seed, curve in trials.curves.items()}
        values, steps = reducing.reduced(curves, "best")
        return replace(trials, values=values, steps=steps)

    return replace(one, by_cell={name: trained(trials) for name, trials in one.by_cell.items()})


def expected(source: Source, ids: Sequence[str], metric: str) -> str:
    """``val/id/em_expected`` for ``val/id/em`` where every run that has the one has the other; else the metric.

    P(exact match) has no noise of sampled answers (docs/analysis.md).
    """
    name = measures.expected(metric)
    if name == metric or not metric.startswith("val/"):
        return metric
    exact = source.curves(ids, name)
    return name if exact and exact.keys() >= source.curves(ids, metric).keys() else metric


def _dev(source: Source, ids: Sequence[str], metric: str) -> Mapping[str, Curve]:
    """Each run's curve on its dev set, of exact match or else of the metric; empty where some run has none."""
    for name in choosing(metric):
        found = source.curves(ids, name)
        if found and found.keys() >= set(ids):
            return found
    return {}


def _known_cases(metric: str, cells: Sequence[Cell], cases: Mapping[str, int]) -> int | None:
    """Return the size of the test set, as given, else as all runs say in their parameters."""
    parts = metric.split("/")
    if len(parts) < 3 or parts[0] != "val":
        return None
    if parts[1] in cases:
        return cases[parts[1]]
    said = {cell.params.get(f"{parts[1]}_size", "") for cell in cells}
    return int(said.pop()) if len(said) == 1 and all(text.isdigit() for text in said) else None


def guess_cases(values: Iterable[float]) -> int | None:
    """Return the smallest n for which every accuracy is k/n; None where that is no small number.

    The true test set has n cases or a multiple of it, so a sampling error from n is never too small.
    """
    n, seen = 1, set()
    for value in values:
        if value in seen or not math.isfinite(value):
            continue
        seen.add(value)
        share = Fraction(value).limit_denominator(MOST_CASES)
        if abs(share - Fraction(value)) > Fraction(1, 10**7):
            return None
        n = math.lcm(n, share.denominator)
        if n > MOST_CASES:
            return None
    return n if n > 1 else None
