"""Step-delta: how many training steps earlier a method gets where its baseline gets. The one definition.

Step-delta = (first step at which the method's mean curve is at least the baseline's best accuracy)
           - (first step at which the baseline's mean curve has its best accuracy).

Both curves are means over trials (``analysis.results.curves.mean``), so the best accuracy is the mean curve's, not
the mean of the trials' bests. Negative: earlier. The method never reaches it: None. Where trials have other
step grids, a trial keeps its last measured value between its own steps; nothing is interpolated, so the
resolution is that of the validations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.results import curves
from analysis.results.curves import Curve

# A mean of five floats may come out a few units in the last place lower than the same mean in another order.
ROUNDING = 1e-9


def best(curve: Curve) -> tuple[int, float]:
    """Return the first step with the highest value, and that value."""
    top = float(curve.values.max())
    return int(curve.steps[np.argmax(curve.values >= top - ROUNDING)]), top


def first_at_least(curve: Curve, value: float) -> int | None:
    """Return the first step at which ``curve`` is at least ``value``, or None."""
    reached = np.flatnonzero(curve.values >= value - ROUNDING)
    return int(curve.steps[reached[0]]) if len(reached) else None


def step_delta(method: Sequence[Curve], baseline: Sequence[Curve]) -> int | None:
    """Step-delta of two cells' trials; None where the method never gets there or a curve is empty."""
    ours, theirs = curves.mean(method), curves.mean(baseline)
    if not len(ours) or not len(theirs):
        return None
    step, value = best(theirs)
    reached = first_at_least(ours, value)
    return None if reached is None else reached - step
