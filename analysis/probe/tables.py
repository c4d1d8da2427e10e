"""The probe's table: a line for each method. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.paper import conventions
from analysis.probe.methods import Found
from analysis.replay.gradient import DRAWS
from analysis.results.measurements import number
from analysis.tables.table import DASH, Entry, Line, Table

APART = (
    "within a group a method's advantages are f times GRPO's, plus b, plus a rest (docs/methods.md, Scale and shift). "
    "f: its median over the groups, and where 80% of them lie. b: its mean. b in A², rest in A²: their shares of the "
    "squared advantages"
)
ZERO = "best = 0: share of the best answers of a prompt whose advantage is exactly 0"
COSINE = (
    f"cosine: between the method's gradient and the true one, over all prompts, a mean of {DRAWS} simulated steps; 1 "
    "is the true direction. A step draws as many answers of each prompt as were recorded, from these, and moves the "
    "probability of each answer by itself"
)


def methods(found: Sequence[Found], noise: float) -> Table:
    """Return one line for each method."""
    columns = ("f", "b", "b in A²", "rest in A²", "best = 0", "cosine", f"cosine, {noise:.0%} outliers")
    lines = tuple(Line(conventions.method(one.name), _entries(one)) for one in found)
    head = (tuple((text, 1) for text in columns),)
    notes = tuple(("", text) for text in (APART, ZERO, COSINE))
    return Table("methods", "What each method makes of these rewards", ("Method",), head, (lines,), notes)


def _entries(one: Found) -> tuple[Entry, ...]:
    scale = DASH if math.isnan(one.scale) else f"{one.scale:.2f} [{one.low:.2f}, {one.high:.2f}]"
    return (
        Entry(scale, one.scale),
        _number(one.shift, signed=True),
        _share(one.of_shift),
        _share(one.of_rest),
        _share(one.best_zero),
        _number(one.cosine),
        _number(one.noisy),
    )


def _number(value: float, signed: bool = False) -> Entry:
    return Entry(DASH) if math.isnan(value) else Entry(number(value, 2, signed), value)


def _share(value: float) -> Entry:
    """Return percent: none has no decimal, and what is more than none is never shown as none."""
    if math.isnan(value):
        return Entry(DASH)
    percent = 100 * value
    return Entry("0%" if percent < 1e-6 else "<0.1%" if percent < 0.05 else f"{percent:.1f}%", percent)
