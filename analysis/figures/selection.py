"""Which figures a report has: the paper's Figures 1 and 3 to 8 where these runs have the data. Imports matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.figures import curves, families, reward_noise, rewards
from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.results.measurements import CLIPPED, THROUGHPUT, Measured, measure
from analysis.results.runs import Selection
from analysis.results.source import Source
from analysis.tables import captions
from analysis.tables.paper import Results
from analysis.tables.table import Table

LINES = 8  # of one panel
ON_CPU = ("cpu", "vllm_cpu")  # backends whose runs share the cores of their machine


@dataclass(frozen=True)
class Figures:
    """The figures, the metrics they were drawn from, the rewards before training in numbers, and why some are
    missing."""

    drawings: tuple[Drawing, ...] = ()
    measured: tuple[Measured, ...] = ()
    tables: tuple[Table, ...] = ()
    remarks: tuple[str, ...] = ()


def draw(
    source: Source,
    selection: Selection,
    results: Results | None,
    runs_root: Path,
    by_noise: Mapping[str, Results],
    is_papers: bool = False,
) -> Figures:
    """Draw the figures for which these runs have the data. is_papers: only the paper's pairs."""
    found: list[Drawing | None] = []
    remarks: tuple[str, ...] = ()
    before = reward_noise.found(selection, runs_root)
    if not before:
        remarks = (
            "no figures of rewards before training: no run folder with rollouts here (name the place: --runs FOLDER)",
        )
    else:
        (model, _), groups = next(iter(before.items()))
        found += rewards.draw(groups, f"before training, {conventions.model_title(model)}")
        found.append(reward_noise.distributions(before) if len(before) > 1 else None)
    tables = (reward_noise.table(before),) if before else ()
    found.append(reward_noise.accuracy(by_noise))
    if results is None:
        return Figures(tuple(one for one in found if one), (), tables, remarks)
    accuracy = results.measured
    shown, title = captions.axis(accuracy), captions.title(accuracy)
    clipped, speed = (measure(source, selection, name) for name in (CLIPPED, THROUGHPUT))
    rows = [key[0] for key in results.grid.rows]
    band = "Mean over seeds; band: one standard deviation over seeds"
    for together, suffix in compared(rows, is_papers):
        methods = together[:LINES]
        on = ", ".join(conventions.method(m) for m in methods)
        if len(together) > LINES:
            on += f" (the first {LINES} of {len(together)} methods)"
        shared = any(run.params.get("backend") in ON_CPU for run in selection.runs)
        is_pair = len(methods) == 2 and methods[0] in curves.BASELINES and methods[1] not in curves.BASELINES
        gain = curves.mean_gain if is_pair and not shared else None
        for name, what, one, smooth, note, ylabel in (
            ("figure3", title, accuracy, False, None, shown),
            ("figure4", "Clip fraction in training", clipped, True, None, "clip fraction, %"),
            ("figure5", "Throughput in training", speed, True, gain, "tokens / s / worker"),
        ):
            scale = one.scale if one is not clipped else 100.0
            panels = curves.by_method(results, one, methods)
            caption = f"{what}, {on}. {band}"
            caption += f"{', running mean over 2% of the steps' if smooth else ''}."
            if note:
                caption += " Above each panel: the gain of the mean over all steps, without an interval."
            elif one is speed:
                caption += " A worker is one GPU, or one process on a CPU."
                caption += " No gain is stated: these runs shared the cores of a machine." if shared else ""
            found.append(curves.draw(f"{name}{suffix}", caption, panels, ylabel, scale, smooth, note))
    for algo, suffix in (("gapo_dapo", ""), ("gapo_grpo", "_grpo")):
        for name, what, one, smooth, ylabel in (
            ("figure6", title, accuracy, False, shown),
            ("figure7", "Clip fraction in training", clipped, True, "clip fraction, %"),
        ):
            scale = one.scale if one is not clipped else 100.0
            caption = (
                f"{what} by τ, {conventions.method(algo)}; k rewards of a group lie in its densest interval. {band}."
            )
            found.append(
                curves.draw(f"{name}{suffix}", caption, curves.by_tau(one.by_cell, algo), ylabel, scale, smooth)
            )
    drawings = sorted((one for one in found if one), key=lambda one: one.name)
    return Figures(tuple(drawings), (clipped, speed), tables, remarks)


def compared(rows: Sequence[str], is_papers: bool) -> list[tuple[Sequence[str], str]]:
    """Return the methods of each figure and how its name ends: a baseline, then what is compared with it.

    Where no baseline has anything beside it, all rows are one figure's.
    """
    found = {}
    for baseline, family in families.of(list(rows)).items():
        pair = dict(conventions.PAIRS)[baseline]
        others = [one for one in family if one != baseline and (one == pair or not is_papers)]
        if baseline in family and others:
            found[baseline] = [baseline, *others]
    return [(one, "_grpo" if baseline == "grpo" else "") for baseline, one in found.items()] or [(rows, "")]
