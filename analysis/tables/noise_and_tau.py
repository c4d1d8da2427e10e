"""What a study has beside the paper's tables: accuracy by noise on the rewards and by tau, seed by seed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from analysis.paper import conventions
from analysis.results.measurements import Measured, Trials
from analysis.results.runs import Cell, Selection
from analysis.statistics import inference
from analysis.statistics.inference import Comparison
from analysis.tables import captions, paper, statistics
from analysis.tables.paper import Results
from analysis.tables.table import Table

LAST = (
    "Each run after its last step: where rewards are false, the best step on the dev set may be the one before training"
)
POOL, ITS = "both GAPOs", "its baseline"


def noise(selection: Selection, one: Measured, seeds: Sequence[int]) -> Results | None:
    """Return the methods that ran with noise on their rewards, and what they did without; None where none did.

    Compared at each level of noise; what is pooled at a level is GAPO (G) with GAPO (D), never the levels.
    """
    noisy = {(cell.model, cell.algo, cell.tau) for cell in selection.cells if cell.noise}
    cells = [c for c in selection.cells if (c.model, c.algo, c.tau) in noisy and one.by_cell[c.id].values]
    if not cells:
        return None
    found = paper.results(cells, one, seeds, ("algo",), ("model", "noise"))
    single = tuple(c for c in found.comparisons if c.model is not None)
    at = {(cell.model, cell.noise, cell.algo): one.by_cell[cell.id] for cell in cells}
    return replace(found, comparisons=(*single, *_pooled(one, at)))


def noise_tables(results: Results, suffix: str, spread: bool) -> list[Table]:
    """Accuracy by share of rollouts with an outlier for their reward, comparisons at a level, what is lost to it."""
    title = f"{captions.title(results.measured)} by noise on the rewards"
    found = [
        paper.slice_table(results, f"noise{suffix}", f"{title}, {captions.trials(results, spread)}", spread),
        statistics.cells_table(results, f"statistics_noise{suffix}", f"{title}: seeds and test set"),
        statistics.comparisons_table(results, f"comparisons_noise{suffix}", f"{title}: methods compared", POOL),
        statistics.comparisons_table(
            replace(results, comparisons=lost(results)),
            f"comparisons_lost{suffix}",
            f"{title}: the change from no noise, method minus baseline (above zero: less is lost)",
            POOL,
        ),
    ]
    notes = (("", LAST),) if results.measured.pick == "final" else ()
    return [replace(table, notes=(*notes, *table.notes)) for table in found if table]


def lost(results: Results) -> tuple[Comparison, ...]:
    """How much more or less than its baseline each GAPO changes from no noise to each level, seed by seed."""
    one = results.measured
    cells = [results.grid.at[place] for place in results.grid.at]
    at = {(cell.model, cell.noise, cell.algo): one.by_cell[cell.id] for cell in cells}
    changes = {
        (model, level, algo): _minus(trials, at[model, 0.0, algo])
        for (model, level, algo), trials in at.items()
        if level and (model, 0.0, algo) in at
    }
    wanted = [
        (f"{model} noise={level:g}", method, baseline, changes[model, level, method], changes[model, level, baseline])
        for model, level in sorted({place[:2] for place in changes})
        for baseline, method in conventions.PAIRS
        if (model, level, method) in changes and (model, level, baseline) in changes
    ]
    single = tuple(c for c in inference.compare(one, wanted) if c.model is not None)
    return (*single, *_pooled(one, changes))


def noise_verdicts(results: Results) -> list[str]:
    """At each level of noise, and of what is lost to it; without noise all is said elsewhere."""
    some = tuple(c for c in results.comparisons if c.model is None or not c.model.endswith("noise=0"))
    out = [f"by noise, {line}" for line in captions.verdicts(replace(results, comparisons=some), POOL)]
    change = replace(results, comparisons=lost(results))
    return out + [f"change from no noise, {line}" for line in captions.verdicts(change, POOL)]


def _minus(ours: Trials, theirs: Trials) -> Trials:
    return replace(ours, values={s: v - theirs.values[s] for s, v in ours.values.items() if s in theirs.values})


def _pooled(one: Measured, at: dict[tuple[str, float, str], Trials]) -> list[Comparison]:
    """At each level both GAPOs over their baselines, each a stratum."""
    found = []
    # what holds without noise is judged in the paper's tables, once
    for model, level in sorted({place[:2] for place in at if place[1]}):
        name = f"GAPO, {conventions.model_title(model)} noise={level:g},"
        wanted = [
            (method, name, ITS, at[model, level, method], at[model, level, baseline])
            for baseline, method in conventions.PAIRS
            if (model, level, method) in at and (model, level, baseline) in at
        ]
        found += [c for c in inference.compare(one, wanted) if c.model is None]
    return found


def tau(selection: Selection, one: Measured, seeds: Sequence[int]) -> Results | None:
    """Return the methods that ran with several taus, and their baselines; None where none did.

    Compared: each tau but the paper's with the paper's, and with the baseline.
    """
    here = [c for c in selection.cells if not c.noise and one.by_cell[c.id].values]
    taus: dict[tuple[str, str], list[Cell]] = {}
    for cell in here:
        if cell.tau is not None:
            taus.setdefault((cell.model, cell.algo), []).append(cell)
    taus = {place: cells for place, cells in taus.items() if len({cell.tau for cell in cells}) > 1}
    plain = {(c.model, c.algo): c for c in here if c.tau is None}
    cells = {cell.id: cell for several in taus.values() for cell in several}
    wanted = []
    for (model, algo), several in taus.items():
        several = sorted(several, key=lambda cell: cell.tau or 0.0)
        usual = [cell for cell in several if cell.tau == conventions.TAU]
        known = [plain[model, name] for name in conventions.baselines(algo) if (model, name) in plain]
        cells |= {cell.id: cell for cell in known}
        for cell in (c for c in several if c.tau != conventions.TAU):
            wanted += [
                (model, _name(cell), _name(other), one.by_cell[cell.id], one.by_cell[other.id])
                for other in (*usual, *known)
            ]
    if not cells:
        return None
    found = paper.results(list(cells.values()), one, seeds, ("algo", "tau"), ("model",))
    compared = tuple(c for c in inference.compare(one, wanted) if c.model is not None)
    return replace(found, comparisons=compared)


def _name(cell: Cell) -> str:
    """``GAPO (G) τ=0.1 (k=1)``: with its tau also where this is the paper's."""
    words = [conventions.method(cell.algo)]
    if cell.tau is not None:
        words.append(conventions.tau_label(cell.tau, conventions.rollouts(cell.params)))
    return " ".join(words)


def tau_tables(results: Results, suffix: str, spread: bool) -> list[Table]:
    """Accuracy by tau in numbers (Figure 6), and compared."""
    title = f"{captions.title(results.measured)} by τ"
    found = [
        paper.slice_table(results, f"tau{suffix}", f"{title}, {captions.trials(results, spread)}", spread),
        statistics.cells_table(results, f"statistics_tau{suffix}", f"{title}: seeds and test set"),
        statistics.comparisons_table(results, f"comparisons_tau{suffix}", f"{title}: methods compared"),
    ]
    return [table for table in found if table]
