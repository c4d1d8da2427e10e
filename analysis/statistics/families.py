"""Which comparisons a study confirms: the claims that were named before its runs, corrected for their number.

The claims about one metric are a family, corrected by Holm; families are tested in the order in which they were named,
and the next counts only if every claim of those before it was decided (a fixed sequence). So the chance that a report
without any true difference says "better" or "worse" is at most 5%, however many comparisons it shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.statistics.inference import Comparison
from gapo_lab.runs.claims import Claim


def confirmed(shown: Mapping[str, Sequence[Comparison]], claims: Sequence[Claim]) -> dict[str, tuple[Comparison, ...]]:
    """{metric: comparisons}, those that answer a claim with their corrected p; the others are exploratory.

    A claim is answered by its comparison pooled over the models, or by that of the only model. A claim that nothing
    here answers ends the sequence: what follows it stays open.
    """
    out = {metric: tuple(found) for metric, found in shown.items()}
    reached = 0.0  # the largest corrected p so far
    for metric in dict.fromkeys(claim.metric for claim in claims):
        family = [claim for claim in claims if claim.metric == metric]
        answers = [answer(out.get(metric, ()), claim) for claim in family]
        values = [1.0 if one is None or math.isnan(one.p) else one.p for one in answers]
        corrected = [max(reached, p) for p in holm(values)]
        told = {id(one): p for one, p in zip(answers, corrected, strict=True) if one is not None}
        out[metric] = tuple(
            replace(one, is_claim=True, p_corrected=told[id(one)], claims=len(family)) if id(one) in told else one
            for one in out.get(metric, ())
        )
        reached = max([reached, *corrected])
    return out


def answer(comparisons: Sequence[Comparison], claim: Claim) -> Comparison | None:
    """Return the comparison that answers a claim: pooled where there is one, else that of the only model."""
    found = [one for one in comparisons if (one.method, one.baseline) == (claim.method, claim.baseline)]
    pooled = [one for one in found if one.model is None]
    return pooled[0] if pooled else found[0] if len(found) == 1 else None


def holm(values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given; NaN is no comparison and stays."""
    order = [i for i in np.argsort(values, kind="stable") if not math.isnan(values[i])]
    out, largest = [math.nan] * len(values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[index]))
        out[index] = largest
    return out
