"""Student's t interval of a mean."""

from __future__ import annotations

import math
from typing import TypeVar

Number = TypeVar("Number")


def half_width(sd: Number, n: int, level: float = 0.95) -> Number:
    """Half the width of the interval of a mean of ``n`` values; ``sd``: their sample standard deviation, or an array
    of them."""
    from scipy.special import stdtrit  # half a second, and only where there is something to say

    return -stdtrit(n - 1, (1 - level) / 2) * sd / math.sqrt(n)
