"""What the metrics of a run say: its pace, GAPO's share of a step, and where two runs differ. Pure.

A curve is `{step: {metric: value}}`, as `RunFolder.merged_metrics` gives it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping

Curve = Mapping[int, Mapping[str, float]]
# Metrics that a seed does not decide.
CLOCKS = ("timing", "perf/", "actor/perf", "training/epoch")
# Metrics that the sampled answers alone decide, whatever the last bits of the weights are.
ANSWERS = ("train/", "val/", "response_length/", "critic/score", "critic/rewards")
# Parts of a step, as verl names them, and as the table does.
PARTS = {
    "gen": "waiting for the rollout",
    "old_log_prob": "old log-probs",
    "ref": "reference log-probs",
    "adv": "advantages",
    "update_actor": "update",
    "update_weights": "sending the weights to the rollout engine",
}


def step_seconds(curve: Curve) -> float | None:
    """Median seconds of a step, without the first, which compiles; of the first where there is no other."""
    seconds = [at["timing_s/step"] for _, at in sorted(curve.items()) if "timing_s/step" in at]
    return statistics.median(seconds[1:] or seconds) if seconds else None


def parts(curve: Curve) -> dict[str, tuple[float, float]]:
    """Median seconds of each part of a step and its share, in the steps of `step_seconds`; `the rest` is what no part
    is, with `backend=cpu` the rollout itself, which is over before verl waits for it."""
    steps = [at for _, at in sorted(curve.items()) if "timing_s/step" in at]
    steps = steps[1:] or steps
    found = {}
    for part, name in PARTS.items():
        timed = [at for at in steps if f"timing_s/{part}" in at]
        if timed:
            seconds = statistics.median(at[f"timing_s/{part}"] for at in timed)
            share = statistics.median(at[f"timing_s/{part}"] / at["timing_s/step"] for at in timed)
            found[name] = (seconds, share)
    if found:
        rest = [(at["timing_s/step"] - sum(at.get(f"timing_s/{part}", 0.0) for part in PARTS), at) for at in steps]
        shares = statistics.median(seconds / at["timing_s/step"] for seconds, at in rest)
        found["the rest"] = (statistics.median(seconds for seconds, _ in rest), shares)
    return found


def validation_seconds(curve: Curve) -> tuple[float, float] | None:
    """Median seconds of measuring the probability of the reference answers, and of the answers of a validation beside
    it, in the steps that have both; None where there is none."""
    both = [at for at in curve.values() if {"timing_s/expected", "timing_s/testing"} <= at.keys()]
    if not both:
        return None
    expected, answers = (statistics.median(at[f"timing_s/{part}"] for at in both) for part in ("expected", "testing"))
    return expected, answers


def values(curve: Curve, name: str) -> list[float]:
    """Return a metric at each step that has it, by step."""
    return [at[name] for _, at in sorted(curve.items()) if name in at]


def science(curve: Curve, names: tuple[str, ...] = ("",)) -> dict[int, dict[str, float]]:
    """Return the metrics that a seed decides and whose name begins with one of `names`."""
    return {
        step: {name: x for name, x in at.items() if name.startswith(names) and not name.startswith(CLOCKS)}
        for step, at in curve.items()
    }


def difference(one: Curve, other: Curve, steps: Iterable[int]) -> str:
    """Return the first metric that differs in these steps, in words; nothing where all are the same, to the last
    bit."""
    for step in sorted(steps):
        here, there = one.get(step), other.get(step)
        if not here or not there:
            return f"step {step} is missing"
        for name in sorted(set(here) | set(there)):
            x, y = here.get(name, math.nan), there.get(name, math.nan)
            if x != y and not (name in here and name in there and math.isnan(x) and math.isnan(y)):
                return f"step {step}: {name} is {x:.6g} and {y:.6g}"
    return ""
