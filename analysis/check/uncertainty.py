"""What a published table's differences are worth, from the printed numbers alone. Pure.

No table says how far its trials are apart. Three things do: methods that are held to do nothing beside their baseline
(placebos: their differences are noise, or what noise and nothing give), how fine the test set is, and how far training
seeds would have to be apart for a claim to drown in them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy import special

from analysis.paper import conventions
from analysis.paper.published import Delta, Published

Z = 1.96
SEED_SDS = (0.5, 1.0)  # points; the spread of training seeds is not printed
GAPOS = tuple(method for _, method in conventions.PAIRS)


@dataclass(frozen=True)
class Claim:
    """A printed difference, in points. ``placebos``: how many times the placebos' root mean square it is.

    largest_sd: the standard deviation of training seeds up to which it stands out at 5%, of the means of the table's
    trials; NaN where cells are one trial. cases, p: of one trial, by how many test cases the two differ, and the
    smallest p that can be behind it, that of McNemar's test if no other case differs.
    """

    table: str
    method: str
    baseline: str
    column: str
    value: float
    placebos: float
    largest_sd: float
    cases: int | None
    p: float


def placebos(table: Published) -> list[float]:
    """Return the differences, in points, of methods that are not GAPO's from the baseline that they are compared
    with."""
    found = []
    for method, values in table.rows.items():
        of = [name for name in conventions.baselines(method) if name in table.rows and name not in GAPOS]
        if of and method not in conventions.ABLATIONS and method not in GAPOS:
            both = zip(values, table.rows[of[0]], strict=True)
            found += [a - b for a, b in both if a is not None and b is not None]
    return found


def root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values) / len(values)) if values else math.nan


def claims(table: Published) -> list[Claim]:
    """Every printed difference of accuracies, method by method, in the order of the table."""
    if table.kind != "accuracy":
        return []
    noise = root_mean_square(placebos(table))
    deltas = [delta for delta in table.deltas if delta.kind == "points"]
    return [one for delta in deltas for one in _claims(table, delta, noise)]


def _claims(table: Published, delta: Delta, noise: float) -> list[Claim]:
    found = []
    for column in table.columns:
        a, b = table.value(delta.of, column), table.value(delta.over, column)
        if a is None or b is None:
            continue
        gap, trials = a - b, table.trials or 1
        cases = round(abs(gap) * table.test_cases / 100) if table.test_cases and trials == 1 else None
        found.append(
            Claim(
                table.table,
                delta.of,
                delta.over,
                column,
                gap,
                abs(gap) / noise if noise else math.nan,
                abs(gap) / (Z * math.sqrt(2 / trials)) if trials > 1 else math.nan,
                cases,
                math.nan if cases is None else min(1.0, 2 * 0.5**cases),
            )
        )
    return found


def z(claim: Claim, sd: float) -> float:
    """How many standard errors a claim is, if training seeds spread by ``sd`` points."""
    return Z * claim.largest_sd / sd


def equal_cells(table: Published) -> list[tuple[str, str, list[str]]]:
    """Return (method, method, columns) where two methods that train differently print the same number to two
    decimals."""
    found = []
    for one, other in combinations(table.rows, 2):
        same = [
            column
            for column, a, b in zip(table.columns, table.rows[one], table.rows[other], strict=True)
            if a is not None and a == b
        ]
        if same:
            found.append((one, other, same))
    return found


def equal_by_chance(table: Published) -> float:
    """Return the chance that two cells with the placebos' spread are printed alike: one step of the print over its
    density."""
    spread = root_mean_square(placebos(table))
    cases = (table.test_cases or 0) * (table.trials or 1)
    step = max(0.01, 100 / cases) if cases else 0.01
    return float(special.erf(step / 2 / spread / math.sqrt(2))) if spread > 0 else math.nan


def binomial_tail(hits: int, tries: int, share: float) -> float:
    """P of at least ``hits`` of ``tries`` where each succeeds with ``share``."""
    return float(special.bdtrc(hits - 1, tries, share)) if hits else 1.0
