"""Curves: one metric of one run over its steps; reduced to a number, or averaged over trials. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gapo_lab.errors import UserError
from gapo_lab.runs import metrics, picked

# How a run's curve becomes the one number of a table.
PICKS = {
    "dev": "each run's value at the step where it is best on the dev set",
    "final": "each run's last value",
    "best": "each run's best over its validations, each at its own step",
    "peak": "each run's value at the step where the mean curve of its cell peaks",
    "mean": "each run's mean over all steps",
}


@dataclass(frozen=True)
class Curve:
    """``steps`` (n,) strictly rising, ``values`` (n,) finite or infinite, never NaN."""

    steps: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def points(self) -> list[tuple[int, float]]:
        """Return (step, value) by step."""
        return list(zip(self.steps.tolist(), self.values.tolist(), strict=True))

    def after(self, step: int) -> Curve:
        """Return the part that was measured after a step."""
        return Curve(self.steps[self.steps > step], self.values[self.steps > step])

    def at(self, steps: np.ndarray) -> np.ndarray:
        """Return the values that hold at ``steps``: the last one measured at or before each; NaN before the first."""
        index = np.searchsorted(self.steps, steps, side="right") - 1
        return np.where(index >= 0, self.values[np.maximum(index, 0)], np.nan)


def build(codes: np.ndarray, steps: np.ndarray, times: np.ndarray, values: np.ndarray) -> dict[int, Curve]:
    """{code: Curve} from points in any order, (n,) each; ``codes`` number the runs.

    Of two points at the same step the one logged later counts (a resumed attempt repeats steps), and where
    the times are equal the larger value, as MLflow itself has it. NaN is dropped: nothing was measured.
    """
    # NaN goes last: a step whose later value is NaN has no value, as MLflow shows it.
    order = np.lexsort((values, times, steps, codes))
    codes, steps, values = codes[order], steps[order], values[order]
    last: np.ndarray = np.append((codes[1:] != codes[:-1]) | (steps[1:] != steps[:-1]), True)
    keep = last & ~np.isnan(values)
    codes, steps, values = codes[keep], steps[keep], values[keep]
    if not len(codes):
        return {}
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    ends: np.ndarray = np.append(starts[1:], len(codes))
    return {int(codes[a]): Curve(steps[a:b], values[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)}


def together(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
    """Return the trials of a cell on one grid: steps (m,) and values (trials, m).

    The grid is every step at which some trial was measured, from where all have begun to where the first
    one ends. Between its own steps a trial keeps the last value it measured: nothing is interpolated. Trials
    with the same steps are taken as they are.
    """
    curves = [curve for curve in curves if len(curve)]
    if not curves:
        return np.array([], int), np.empty((0, 0))
    first = curves[0].steps
    if all(len(c) == len(first) and np.array_equal(c.steps, first) for c in curves[1:]):
        return first, np.stack([curve.values for curve in curves])
    steps = np.unique(np.concatenate([curve.steps for curve in curves]))
    begin, end = max(c.steps[0] for c in curves), min(c.steps[-1] for c in curves)
    steps = steps[(steps >= begin) & (steps <= end)]
    return steps, np.stack([curve.at(steps) for curve in curves])


def mean(curves: Sequence[Curve]) -> Curve:
    """Return the mean curve over trials, on the grid of ``together``."""
    steps, values = together(curves)
    return Curve(steps, values.mean(axis=0) if len(steps) else np.array([]))


def reduce(curves: Mapping[int, Curve], pick: str, dev: Mapping[int, Curve] | None = None) -> dict[int, float]:
    """{seed: number} of one cell's trials, as `reduced` has them."""
    return reduced(curves, pick, dev)[0]


def reduced(
    curves: Mapping[int, Curve], pick: str, dev: Mapping[int, Curve] | None = None
) -> tuple[dict[int, float], dict[int, int]]:
    """{seed: number} of one cell's trials, see ``PICKS``, and {seed: step} where the way to pick chooses one.

    dev: for that pick, each trial's curve on the dev set. A trial without a value is absent.
    """
    if pick not in PICKS:
        raise UserError(f"--pick {pick}: no such way. Take one of {', '.join(PICKS)}")
    curves = {seed: curve for seed, curve in curves.items() if len(curve)}
    if pick in ("final", "mean"):
        return {seed: metrics.reduce(curve.values.tolist(), pick) for seed, curve in curves.items()}, {}
    steps = _steps(curves, pick, dev or {})
    values = {seed: float(curves[seed].at(np.array([step]))[0]) for seed, step in steps.items()}
    return {seed: value for seed, value in values.items() if not np.isnan(value)}, steps


def _steps(curves: Mapping[int, Curve], pick: str, dev: Mapping[int, Curve]) -> dict[int, int]:
    """{seed: step} that a way to pick chooses for each trial."""
    if pick == "peak" and curves:
        average = mean(list(curves.values()))
        return dict.fromkeys(curves, picked.best_step(average.points())) if len(average) else {}
    of = dev if pick == "dev" else curves
    return {seed: picked.best_step(of[seed].points()) for seed in curves if seed in of and len(of[seed])}
