"""ScaleRL's curve on curves that are made of it, and what half of a curve says of the rest."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from samples import some

from analysis.paper import conventions
from analysis.results.curves import Curve
from analysis.results.measurements import Measured, Trials
from analysis.results.runs import Run, select
from analysis.statistics.scaling import Fit, fit, half_predicts, over_seeds
from analysis.tables import learning_curves, paper

STEPS = np.arange(0, 401, 20)
TRUE = Fit(start=0.2, ceiling=0.7, efficiency=1.5, middle=80.0, error=0.0)


def trials(rng, true=TRUE, seeds=5, noise=0.004, seed_sd=0.01, steps=STEPS):
    """Seeds whose ceilings differ, validated with noise."""
    out = []
    for _ in range(seeds):
        own = Fit(true.start, true.ceiling + rng.normal(0, seed_sd), true.efficiency, true.middle, 0.0)
        out.append(Curve(steps, own.at(steps) + rng.normal(0, noise, len(steps))))
    return out


@pytest.mark.parametrize(
    "true", [TRUE, Fit(0.0, 1.0, 3.0, 30.0, 0.0), Fit(0.5, 0.55, 0.8, 200.0, 0.0), Fit(-2.0, 5.0, 1.0, 10.0, 0.0)]
)
def test_an_exact_curve_gives_its_parameters_back(true):
    found = fit(STEPS, true.at(STEPS))
    assert found.ceiling == pytest.approx(true.ceiling, rel=0.01)
    assert found.efficiency == pytest.approx(true.efficiency, rel=0.02)
    assert found.middle == pytest.approx(true.middle, rel=0.02) and found.error < 1e-3
    assert found.at(np.array([0.0, true.middle])) == pytest.approx(
        [true.start, (true.start + true.ceiling) / 2], abs=0.01
    )


def test_a_share_has_no_ceiling_above_one():
    assert fit(STEPS, np.linspace(0.2, 0.9, len(STEPS)), highest=1.0).ceiling <= 1
    assert fit(STEPS, np.linspace(0.2, 0.9, len(STEPS))).ceiling > 1


def test_what_does_not_rise_or_is_too_short_is_not_fitted():
    assert fit(STEPS, np.full(len(STEPS), 0.3)) is None and fit(STEPS, 1 - TRUE.at(STEPS)) is None
    assert fit(STEPS[:4], TRUE.at(STEPS[:4])) is None and over_seeds([]) is None and half_predicts([]) is None


def test_the_intervals_hold_the_truth():
    rng, held = np.random.default_rng(0), []
    for _ in range(some(40)):
        found = over_seeds(trials(rng), highest=1.0)
        held.append(
            [
                found.ceiling.low <= TRUE.ceiling <= found.ceiling.high,
                found.efficiency.low <= TRUE.efficiency <= found.efficiency.high,
                found.middle.low <= TRUE.middle <= found.middle.high,
            ]
        )
    assert (np.mean(held, axis=0) >= 0.85).all()
    alone = over_seeds(trials(rng, seeds=1))
    assert math.isnan(alone.ceiling.low) and alone.ceiling.value == alone.fit.ceiling


def test_a_higher_ceiling_and_a_faster_way_are_told_apart():
    rng = np.random.default_rng(1)
    plain = over_seeds(trials(rng, seed_sd=0.003))
    higher = over_seeds(trials(rng, Fit(0.2, 0.8, 1.5, 80.0, 0.0), seed_sd=0.003))
    faster = over_seeds(trials(rng, Fit(0.2, 0.7, 1.5, 40.0, 0.0), seed_sd=0.003))
    assert higher.ceiling.low > plain.ceiling.high and higher.middle.low < plain.middle.high
    assert faster.middle.high < plain.middle.low and faster.ceiling.low < plain.ceiling.high


def test_half_a_curve_foretells_the_rest_better_than_standing_still():
    rng = np.random.default_rng(2)
    found = np.array([half_predicts(trials(rng), highest=1.0) for _ in range(some(30))])
    fitted, still = found.mean(axis=0)
    assert fitted < still / 2 and (found[:, 0] < found[:, 1]).mean() > 0.8


def test_a_curve_that_starts_later_counts_what_was_spent_since():
    later = fit(STEPS + 100, TRUE.at(STEPS))
    assert later.middle - 100 == pytest.approx(TRUE.middle, rel=0.02)


def test_a_report_has_a_line_a_claimed_method():
    rng, runs, curves = np.random.default_rng(3), [], {}
    for algo, ceiling in (("grpo", 0.6), ("gapo_grpo", 0.7), ("rloo", 0.7)):
        for seed, curve in enumerate(trials(rng, Fit(0.2, ceiling, 1.5, 80.0, 0.0))):
            params = {"model": "nano", "algo": algo, "seed": str(seed)}
            runs.append(Run(f"{algo}{seed}", "s", "", f"{algo}{seed}", "FINISHED", seed, params))
            curves[algo, seed] = curve
    cells = select(runs).cells
    by_cell = {}
    for cell in cells:
        mine = {seed: curves[cell.algo, seed] for seed in cell.seeds}
        by_cell[cell.id] = Trials(cell, mine, {seed: float(curve.values[-1]) for seed, curve in mine.items()})
    results = paper.results(cells, Measured("val/id/em", "final", by_cell), range(5))
    found = learning_curves.table(results, "t", "T")
    assert [line.label for line in found.lines] == [
        f"{conventions.model_title('nano')} {conventions.method(algo)}" for algo in ("grpo", "gapo_grpo")
    ]
    ceilings = [line.entries[0].value for line in found.lines]
    assert ceilings == pytest.approx([60, 70], abs=2) and all(line.entries[1].text != "–" for line in found.lines)
    assert all(line.entries[7].value < 2 for line in found.lines) and len(found.lines[0].entries) == 8
    # a step of grpo spends 10 tokens, one of the others 20: the same midpoint in steps, another in tokens
    spends = {"grpo": 10.0, "gapo_grpo": 20.0, "rloo": 20.0}
    paid = {
        cell.id: replace(
            by_cell[cell.id],
            spent={
                "tokens": {s: Curve(STEPS[1:], np.cumsum(np.diff(STEPS)) * spends[cell.algo]) for s in cell.seeds},
            },
        )
        for cell in cells
    }
    told = learning_curves.table(paper.results(cells, Measured("val/id/em", "final", paid), range(5)), "t", "T")
    assert [head for head, _ in told.header[0]][-1] == "half-way tokens"
    plain, ours = (line.entries[8].value / line.entries[2].value for line in told.lines)
    assert (plain, ours) == pytest.approx((10, 20), rel=0.02) and "[" in told.lines[0].entries[8].text
