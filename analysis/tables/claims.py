"""The claims of a study: those that its runs were started with. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from analysis.paper import conventions
from analysis.results.runs import Run
from gapo_lab.errors import UserError
from gapo_lab.runs import claims
from gapo_lab.runs.claims import Claim

TAG = "gapo.claims"


def of_runs(runs: Sequence[Run]) -> tuple[Claim, ...] | None:
    """Return what the run that was started first was to help decide; None where it named nothing."""
    first = min(runs, key=lambda run: (run.start, run.identity), default=None)
    return None if first is None else _claims(first)


def named_later(runs: Sequence[Run]) -> list[Claim]:
    """Claims of later runs that the first did not name: whoever named them may have seen results."""
    named = of_runs(runs) or ()
    found = [claim for run in sorted(runs, key=lambda run: run.start) for claim in _claims(run) or ()]
    return [claim for claim in dict.fromkeys(found) if claim not in named]


def pairs(runs: Sequence[Run], metric: str) -> list[tuple[str, str]]:
    """Return method and baseline of each claim about this metric."""
    return [(claim.method, claim.baseline) for claim in of_runs(runs) or () if claim.metric == metric]


def papers(metrics: Sequence[str]) -> tuple[Claim, ...]:
    """Return what the paper claims: each GAPO over its baseline, on the first metric, then on the next."""
    return tuple(Claim(method, baseline, metric) for metric in metrics for baseline, method in conventions.PAIRS)


def _claims(run: Run) -> tuple[Claim, ...] | None:
    text = run.tags.get(TAG)
    try:
        return None if text is None else claims.read(json.loads(text))
    except ValueError as error:
        raise UserError(f"run {run.name}: its claims are not valid ({text}): {error}") from error
