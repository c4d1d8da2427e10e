"""What so many seeds can tell from zero, and how many it takes: power of a two-sided t test at 5%.

An estimate with standard error s and f degrees of freedom sees a true difference of nc(f) s in 80 of 100 studies; nc is
the noncentrality at which t exceeds its critical value so often (about 2.8 for many seeds, 3.2 for five and five).
"""

from __future__ import annotations

import math
from collections.abc import Callable

POWER, LEVEL = 0.8, 0.95
MOST = 1000  # seeds a method beyond which nobody runs


def noncentrality(freedom: float, power: float = POWER, claims: int = 1) -> float:
    """Return the true difference, in standard errors, that t with so many degrees of freedom sees with this power.

    claims: how many share the 5% (Bonferroni's share, the first step of Holm's).
    """
    from scipy.special import nctdtrinc, stdtrit  # half a second, and only where there is something to say

    critical = float(stdtrit(freedom, 1 - (1 - LEVEL) / (2 * claims)))
    return float(nctdtrinc(freedom, 1 - power, critical))


def visible(seeds: int, power: float = POWER) -> float:
    """Return the difference of two methods, in standard deviations over seeds, that so many seeds of each see with
    this power.

    Infinite with fewer than two.
    """
    return noncentrality(2 * seeds - 2, power) * math.sqrt(2 / seeds) if seeds > 1 else math.inf


def seeds_needed(difference: float, sd: float, power: float = POWER) -> int | None:
    """Seeds of each of two methods that see a true difference with this power; None beyond ``MOST``.

    difference, sd: in one unit; sd over seeds of a method. Two are the fewest.
    """
    wanted = abs(difference) / sd if sd else math.inf
    return _fewest(lambda seeds: visible(seeds, power) <= wanted)


def seeds_for_error(difference: float, error: float, freedom: float, seeds: int, claims: int = 1) -> int | None:
    """As `seeds_needed`, from an estimate's standard error and degrees of freedom with so many seeds a method.

    claims: how many share the 5%.

    With m seeds the error is error sqrt(seeds / m) and the freedom grows by m / seeds, however it was pooled.
    """
    if not (error > 0 and freedom > 0 and seeds > 1):
        return None

    def sees(m: int) -> bool:
        share = m / seeds
        return m > 1 and noncentrality(freedom * share, claims=claims) * error / math.sqrt(share) <= abs(difference)

    return _fewest(sees)


def _fewest(sees: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 2 to ``MOST`` that sees it, where more never see less; None where none does."""
    if not sees(MOST):
        return None
    low, high = 1, MOST  # low does not see it, high does
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if sees(middle) else (middle, high)
    return high
