"""Deciding while seeds come in: a bet against "no difference" that may be looked at after every seed.

If nothing differs, E reaches 20 in at most one of 20 studies, however often one looks (Ville's inequality). A naive t
test repeated from 5 to 20 seeds errs in 18.5 of 100. For k claims the bar is 20 k. Five seeds are the fewest that can
decide: E of n is at most (1 + n)^((n - 1)/2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BAR = 20.0  # 1 / 0.05
SPREAD = 1.0  # g: the variance of true differences, in standard deviations over seeds, that the bet expects
FEWEST = 2  # differences from which there is a t
ROUNDING = 1e-9  # differences that differ by less of their size are the same
# Bets of `symmetric_e`, in units of the difference that matters.
STAKES = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Bet:
    """n differences, their mean, E, and the true differences that E against them leaves open, [low, high]."""

    n: int
    mean: float
    e: float
    low: float
    high: float
    bar: float = BAR

    @property
    def is_decided(self) -> bool:
        return self.e >= self.bar

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `open`."""
        return ("better" if self.mean > 0 else "worse") if self.is_decided else "open"


def bet(differences: Sequence[float], claims: int = 1, spread: float = SPREAD) -> Bet:
    """Return the t e-process on one difference a seed, method minus baseline (Wang and Ramdas 2023, arXiv 2310.03722).

    E_n = (1 + n g)^(-1/2) [(1 + t^2/v) / (1 + t^2/(v (1 + n g)))]^(n/2), v = n - 1, g = `spread`, for normal
    differences of any standard deviation. Fewer than two differences, or differences that are all the same, leave
    everything open at E = 1: a constant has no scale to bet on. Raises ValueError for claims below 1 or a spread that
    is not above 0.
    """
    if claims < 1 or not spread > 0:
        raise ValueError(f"claims={claims}, spread={spread}: at least one claim, and a spread above 0")
    n, bar = len(differences), BAR * claims
    mean = math.fsum(differences) / n if n else math.nan
    if n < FEWEST or max(differences) - min(differences) <= ROUNDING * max(map(abs, differences)):
        return Bet(n, mean, 1.0, -math.inf, math.inf, bar)
    error = math.hypot(*(one - mean for one in differences)) / math.sqrt((n - 1) * n)
    half = _reach(n, bar, spread) * error
    return Bet(n, mean, math.exp(log_e(mean / error, n, spread)), mean - half, mean + half, bar)


def first_decided(differences: Sequence[float], claims: int = 1, spread: float = SPREAD) -> Bet:
    """Return the bet on the fewest first differences that decide it, or on all where none do.

    Once E has reached the bar a claim stays decided, however many differences come after: that E ever reaches it is
    what happens in at most one of 20 studies (Ville's inequality).
    """
    bets = (bet(differences[:n], claims, spread) for n in range(FEWEST, len(differences) + 1))
    return next((one for one in bets if one.is_decided), None) or bet(differences, claims, spread)


def log_e(t: float, n: int, spread: float = SPREAD) -> float:
    """ln E_n of Student's t with n - 1 degrees of freedom; no overflow for any t."""
    wide, x = 1 + n * spread, t * t / (n - 1)
    return n / 2 * (math.log1p(x) - math.log1p(x / wide)) - math.log(wide) / 2


def _reach(n: int, bar: float, spread: float) -> float:
    """Return the |t| at which E_n is `bar`; infinite where no t gives so much."""
    wide = 1 + n * spread
    ratio = (bar * math.sqrt(wide)) ** (2 / n)
    return math.sqrt((n - 1) * (ratio - 1) / (1 - ratio / wide)) if ratio < wide else math.inf


def symmetric_e(differences: Sequence[float], matters: float) -> float:
    """E without normality, for differences that are symmetric about 0 when nothing differs (Koning 2023, 2310.01153).

    The mean over fixed stakes l, of both signs, of prod_i exp(l x_i) / cosh(l x_i). matters: the difference that
    matters, in the unit of the differences and chosen before they are seen; the stakes are multiples of 1 over it.
    """
    if not matters > 0:
        raise ValueError(f"matters={matters}: the difference that matters must be above 0")
    stakes = [sign * stake / matters for stake in STAKES for sign in (-1, 1)]
    # exp(y) / cosh(y) = 2 / (1 + exp(-2 y))
    logs = [math.fsum(math.log(2) - _softplus(-2 * stake * one) for one in differences) for stake in stakes]
    return math.fsum(map(math.exp, logs)) / len(stakes)


def _softplus(y: float) -> float:
    return max(y, 0.0) + math.log1p(math.exp(-abs(y)))
