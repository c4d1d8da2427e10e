"""What a run measured: rows of a metrics file, their merging over attempts, names, and the summary.

Everything here is pure. A *row* is what was logged at one step at one moment; a *point* is one value
of one metric at one step.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from gapo_lab.runs import measures

RENAMED = {"critic/score/mean": "train/reward"}

_VALIDATION = re.compile(r"val-(?:core|aux)/(?P<set>[^/]+?)(?P<greedy>_greedy)?/(?P<measure>[^/]+)/mean@\d+")

# Which of the metrics of a row are read.
Choose = Callable[[Mapping[str, Any]], Iterable[str]]


@dataclass(frozen=True)
class Row:
    """What was logged at ``step`` at ``time`` (Unix seconds)."""

    step: int
    time: float
    metrics: Mapping[str, float]

    def to_json(self) -> str:
        metrics = {name: float(value) for name, value in self.metrics.items()}
        return json.dumps({"step": self.step, "time": self.time, "metrics": metrics})

    @classmethod
    def from_json(cls, line: str, choose: Choose = list) -> Row:
        """Read a row, of its metrics those that are chosen; ValueError, KeyError or TypeError where ``line`` is
        none."""
        raw = _loads(line)
        found = raw["metrics"]
        return cls(int(raw["step"]), float(raw["time"]), {name: float(found[name]) for name in choose(found)})


def _loads(line: str) -> Any:
    """JSON as Python writes it: with NaN and Infinity, which the fast parser does not know."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return json.loads(line)


class Point(NamedTuple):
    """A metric's value and the time (Unix seconds) at which it was logged."""

    value: float
    time: float


Points = dict[int, dict[str, Point]]


def merge(attempts: Iterable[Sequence[Row]]) -> Points:
    """Return the rows of all attempts, oldest attempt first, as one history: {step: {metric: Point}}.

    A later attempt goes on from a checkpoint, so it starts a new branch at its first step f:

    - what older attempts logged *after* f belongs to the branch that was given up: dropped;
    - at f itself the two are joined and the later attempt wins a metric (a resumed run first validates
      at the step of its checkpoint: that must not wipe out the training metrics of that step);
    - what older attempts logged before f stands.

    Within an attempt, rows of the same step are joined and the later row wins a metric. An attempt
    without rows changes nothing.
    """
    merged: Points = {}
    for rows in attempts:
        if not rows:
            continue
        first = min(row.step for row in rows)
        merged = {step: dict(points) for step, points in merged.items() if step <= first}
        for row in rows:
            at_step = merged.setdefault(row.step, {})
            at_step.update({name: Point(value, row.time) for name, value in row.metrics.items()})
    return dict(sorted(merged.items()))


def values(points: Points) -> dict[int, dict[str, float]]:
    """``points`` without their times."""
    return {step: {name: point.value for name, point in at.items()} for step, at in points.items()}


def standard_name(name: str) -> str:
    """Map a metric name of verl's to ours. Unknown names are returned unchanged.

    ``val-core/id_greedy/em/mean@1`` is ``val/id/em_greedy``; ``critic/score/mean`` is ``train/reward``.
    """
    match = _VALIDATION.fullmatch(name)
    if match:
        return f"val/{match['set']}/{match['measure']}{match['greedy'] or ''}"
    return RENAMED.get(name, name)


def standard(raw: Mapping[str, Any]) -> dict[str, float]:
    """verl's metrics of one step under the names that stand, as plain floats; NaN and infinity are kept.

    Values may be Python, NumPy or torch scalars, or arrays of one element. A metric that is no number
    raises TypeError naming it. Where verl's metric and the one that stands are both there, both keep their names:
    DAPO's `critic/score/mean` holds the overlong penalty, `train/reward` does not.
    """
    names = {name: standard_name(name) for name in raw}
    return {name if as_ in raw else as_: _number(name, raw[name]) for name, as_ in names.items()}


def _number(name: str, value: Any) -> float:
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"metric {name} is not one number: {type(value).__name__} {value!r:.80}") from error


def of_summary(found: Mapping[str, Any]) -> list[str]:
    """Return those of a row's metrics that `summary` reads (a `Choose`). The others have to be numbers, too."""
    deque(map(float, found.values()), maxlen=0)
    return [name for name in found if name.startswith("val/") or name in ("train/reward", "perf/throughput")]


def summary(merged: Mapping[int, Mapping[str, float]], metric: str | None = None) -> dict[str, float]:
    """Return the run in a few numbers, from ``{step: {metric: value}}``.

    For the main measure (``gapo_lab.runs.measures``; ``metric`` is the one that was asked for) on each test set and its
    ``_greedy`` twin, and for exact match and what is expected of it where these are measured too: ``first/id/em``,
    ``final/id/em`` (the first and last step at which it was measured) and ``best/id/em``: each at its own best, the
    earliest step where several tie.
    The main measure stands first, and the step of its best is ``best/id/step`` (greedy: ``best/id/step_greedy``). Also
    ``first|final/train/reward``, ``final/step`` and the mean of ``perf/throughput``. NaN is never the best. What was
    not measured is absent.
    """
    out: dict[str, float] = {}
    names = dict.fromkeys(name for at in merged.values() for name in at)
    about = measures.main_measure(names, metric)
    for measure in dict.fromkeys([about, measures.EXACT_MATCH, measures.EXPECTED] if about else []):
        for suffix in ("", measures.GREEDY):
            for where in measures.measures(names):
                out |= _of_curve(merged, where, f"{measure}{suffix}", f"step{suffix}" if measure == about else "")
    if reward := series(merged, "train/reward"):
        out["first/train/reward"], out["final/train/reward"] = reward[0][1], reward[-1][1]
    if throughput := [v for _, v in series(merged, "perf/throughput") if not math.isnan(v)]:
        out["mean/perf/throughput"] = reduce(throughput, "mean")
    if merged:
        out["final/step"] = float(max(merged))
    return out


def _of_curve(merged: Mapping[int, Mapping[str, float]], where: str, measure: str, step: str) -> dict[str, float]:
    """First, final and best of one measure on one test set; ``step``: what the step of the best is called, or ''."""
    curve = series(merged, f"val/{where}/{measure}")
    if not curve:
        return {}
    out = {f"first/{where}/{measure}": curve[0][1], f"final/{where}/{measure}": curve[-1][1]}
    if found := first_best(curve):
        out[f"best/{where}/{measure}"] = found[1]
        if step:
            out[f"best/{where}/{step}"] = float(found[0])
    return out


def first_best(curve: Sequence[tuple[int, float]]) -> tuple[int, float] | None:
    """Return (step, value) where a curve is highest, the earliest where several tie; None without a value."""
    measured = [(at, value) for at, value in curve if not math.isnan(value)]
    return max(measured, key=lambda point: point[1]) if measured else None


# How a curve becomes one number.
HOW = ("best", "final", "first", "mean")


def reduce(values: Sequence[float], how: str, largest: bool = True) -> float:
    """One number of a curve's values in order, none of them NaN; see ``HOW``. ``largest``: the best is the largest."""
    if how == "best":
        return max(values) if largest else min(values)
    if how == "mean":
        return math.fsum(values) / len(values)
    return {"first": values[0], "final": values[-1]}[how]


def series(merged: Mapping[int, Mapping[str, float]], name: str) -> list[tuple[int, float]]:
    """``(step, value)`` of one metric, by step."""
    return [(step, merged[step][name]) for step in sorted(merged) if name in merged[step]]
