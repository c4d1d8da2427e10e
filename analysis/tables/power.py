"""What the seeds of a study could see, and what its open questions would take. Pure."""

from __future__ import annotations

import math

from analysis.paper import conventions
from analysis.results import spending
from analysis.statistics.inference import Comparison
from analysis.statistics.pooling import SAMPLE
from analysis.tables.paper import Results
from analysis.tables.statistics import told
from gapo_lab.utils.power import MOST, POWER, noncentrality, seeds_for_error
from gapo_lab.utils.text import several, two_digits


def sentences(results: Results, pool: str = "all models") -> list[str]:
    """Return a sentence for each claim that is open: the smallest difference it could see, and the seeds for the one
    found.

    Pooled over five models and more the error is of the models, which more seeds do not make smaller: then none.
    """
    found = [one for one in told(results) if one.is_claim and one.models < SAMPLE]
    return [_sentence(results, one, pool) for one in found if one.verdict in ("no difference found", "not decided")]


def visible(results: Results, one: Comparison) -> str:
    """Return the smallest true difference that a comparison tells from zero in 80% of studies: `3.82 points`.

    With the one that it takes where all claims of its family share the 5%, if there are several.
    """
    text, unit = results.measured.text, " points" if results.measured.is_share else ""
    alone, shared = (text(_visible(one, claims)) for claims in (1, one.claims))
    return f"{alone}{unit}" + (f" ({shared} corrected for {one.claims} claims)" if one.claims > 1 else "")


def _visible(one: Comparison, claims: int) -> float:
    return noncentrality(one.freedom, claims=claims) * one.error if one.error > 0 else math.nan


def _sentence(results: Results, one: Comparison, pool: str) -> str:
    where = f", {pool}" if one.model is None else ""
    seeds = round((one.n + one.against) / 2 / one.models)
    out = (
        f"power of {conventions.method(one.method)} over {conventions.method(one.baseline)}{where}: {seeds} seeds a "
        f"method find a difference of {visible(results, one)} in {POWER:.0%} of studies"
    )
    needed = seeds_for_error(one.delta, one.error, one.freedom, seeds, one.claims)
    if needed is None:
        return f"{out}. The difference found here would take more than {MOST:,} seeds"
    if needed <= seeds:
        return out
    runs = several(2 * one.models * (needed - seeds), "more run") + _hours(results, one, needed - seeds)
    found = results.measured.text(one.delta, True)
    return f"{out}. The difference found here, {found}, would take {needed} seeds: {runs}"


def _hours(results: Results, one: Comparison, more: int) -> str:
    """Return `, about 320 GPU-hours of training steps`: so many more seeds of both; '' where nobody has said it."""
    cells = [
        results.trials((algo,), column)
        for column in results.grid.columns
        for algo in (one.method, one.baseline)
        if one.model in (None, column[0])
    ]
    known = [trials for trials in cells if trials is not None]
    on_gpus = any(run.params.get("backend") == "vllm" for trials in known for run in trials.cell.runs)
    kind = spending.OF_GPUS if on_gpus else "seconds"
    hours = more * sum(spending.total(trials.spent.get(kind, {})) for trials in known) / 3600
    if not known or math.isnan(hours):
        return ""
    return f", about {two_digits(hours)} {'GPU-hours' if on_gpus else 'hours'} of training steps"
