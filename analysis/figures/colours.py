"""The colour of each method, the same in every figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from gapo_lab.utils.plot_style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

KNOWN = {
    "grpo": GREY,
    "dapo": GREY,
    "gapo_grpo": BLUE,
    "gapo_dapo": BLUE,
    "gapo_grpo_median_std": SKY,
    "gapo_dapo_median_std": SKY,
    "gapo_grpo_mean_div": RED,
    "gapo_dapo_mean_div": RED,
    "gmpo": GREEN,
    "krpo": PURPLE,
    "qae": ORANGE,
}
# Those far from a baseline's grey come first; to red-green blind eyes green is near it, too.
SPARE = (BLUE, RED, SKY, ORANGE, PURPLE, GREEN, BLACK)


def of_methods(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each method of a figure. One that has no colour of its own gets one that is still free
    there."""
    used = {KNOWN.get(name) for name in names}
    spare = cycle([colour for colour in SPARE if colour not in used] or SPARE)
    return {name: KNOWN.get(name) or next(spare) for name in names}
