"""A method's advantages as GRPO's, scaled and shifted within each group (docs/methods.md, "Scale and shift"). Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-20  # of a group's sum of squares: what may be left where all rewards are equal


@dataclass(frozen=True)
class Parts:
    """A = f A_grpo + b + rest in each of P groups, by least squares.

    scale (P,): f, NaN where all rewards of the group are equal. shift (P,): b, the group's mean advantage. of_scale,
    of_shift, of_rest: the share of each part in the sum of A^2; they add up to 1, and all are 0 where every advantage
    is 0. Methods that are no scale and shift of GRPO (rank, krpo) have a rest.
    """

    scale: np.ndarray
    shift: np.ndarray
    of_scale: float
    of_shift: float
    of_rest: float


def parts(groups: np.ndarray, grpo: np.ndarray, advantages: np.ndarray) -> Parts:
    """Take the advantages apart.

    groups (B,): numbers from 0 on. grpo (B,): GRPO's advantages, whose mean in each group is 0 but for rounding, so
    that the three parts are orthogonal. advantages (B,): the method's.
    """
    sizes = np.bincount(groups)
    spread = grpo - (np.bincount(groups, grpo) / sizes)[groups]
    squares = np.bincount(groups, spread**2)
    shift = np.bincount(groups, advantages) / sizes
    scale = np.full(len(sizes), np.nan)
    np.divide(np.bincount(groups, spread * advantages), squares, out=scale, where=squares > ROUNDING)
    scaled = np.nan_to_num(scale)[groups] * spread
    rest = advantages - scaled - shift[groups]
    total = float(advantages @ advantages) or 1.0
    return Parts(
        scale, shift, float(scaled @ scaled) / total, float(sizes @ shift**2) / total, float(rest @ rest) / total
    )
