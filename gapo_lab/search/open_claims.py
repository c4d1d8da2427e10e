"""What the claims of a study say after some seeds, and which cells need more. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gapo_lab.errors import UserError
from gapo_lab.planning.planned import Planned
from gapo_lab.runs.claims import Claim
from gapo_lab.utils.e_process import Bet, first_decided
from gapo_lab.utils.text import several

# A cell: the overrides of its runs without the seed.
Cell = tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """What is known of a claim: the bet on its differences, and the cells that it is about."""

    claim: Claim
    cells: tuple[Cell, ...]
    bet: Bet


def pairs(claim: Claim, cells: Mapping[Cell, Planned]) -> list[tuple[Cell, Cell]]:
    """Return the method's cell and the baseline's on each model, without noise where there are cells without.

    cells: each with one of its runs. UserError where a model lacks one of the two everywhere, or has several.
    """
    of: dict[tuple[str, float], dict[str, list[Cell]]] = {}
    for cell, run in cells.items():
        spec = run.valid_spec
        same = of.setdefault((spec.model, spec.noise), {}).setdefault(spec.algo, [])
        if not any(cells[other].key == run.key for other in same):  # a method without tau has one cell of several
            same.append(cell)
    both = {at: sides for at, sides in of.items() if claim.method in sides and claim.baseline in sides}
    least = min((noise for _, noise in both), default=0.0)
    found = []
    for (model, noise), sides in both.items():
        if noise > least:
            continue
        for method in (claim.method, claim.baseline):
            if len(sides[method]) > 1:
                raise UserError(
                    f"seed=auto: {several(len(sides[method]), 'cell')} of {method} on {model}, and the claim {claim} "
                    "does not say which. Leave one of them in the sweep"
                )
        found.append((sides[claim.method][0], sides[claim.baseline][0]))
    if not found:
        raise UserError(f"seed=auto: no model has runs of both methods of the claim {claim}. Add them to algo=")
    return found


def decide(
    claims: Sequence[Claim],
    cells: Mapping[Cell, Planned],
    seeds: Mapping[Cell, int],
    value: Callable[[Cell, int, str], float],
) -> list[Decision]:
    """Return what is known of each claim.

    cells: each with one of its runs. seeds: how many seeds of a cell are finished, from 0 on. value: of a cell's seed,
    the number of a metric. A difference is the mean over models of method minus baseline, of seeds that all have.
    """
    out = []
    for claim in claims:
        found = pairs(claim, cells)
        both = tuple(dict.fromkeys(cell for pair in found for cell in pair))
        differences = [
            math.fsum(value(ours, seed, claim.metric) - value(theirs, seed, claim.metric) for ours, theirs in found)
            / len(found)
            for seed in range(min(seeds[cell] for cell in both))
        ]
        out.append(Decision(claim, both, first_decided(differences, len(claims))))
    return out


def grown(seeds: Mapping[Cell, int], decisions: Sequence[Decision], step: int, most: int) -> dict[Cell, int]:
    """Return how many seeds each cell gets next: ``step`` more where a claim of its is open, ``most`` at the most.

    The cells of a claim get equally many: a seed that one of them lacks would tell nothing.
    """
    wanted = dict(seeds)
    for one in decisions:
        if not one.bet.is_decided:
            target = min(most, min(seeds[cell] for cell in one.cells) + step)
            for cell in one.cells:
                wanted[cell] = max(wanted[cell], target)
    return wanted
