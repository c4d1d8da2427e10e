"""The paper's figures for these runs: mean curves over seeds with bands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures import colours
from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.results import curves
from analysis.results.measurements import Measured, Trials
from analysis.tables.paper import Results
from gapo_lab.utils.plot_style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, STYLE

DOTTED, DASHED, DOT_DASH = (0, (1.2, 1.0)), (0, (4, 1.2)), (0, (5, 1, 1, 1))
OWN: tuple[str | tuple, ...] = ("-", DASHED, DOT_DASH)  # of the methods that are no baseline
BASELINES = frozenset(baseline for baseline, _ in conventions.PAIRS)
TAUS = ((SKY, DASHED), (RED, DOT_DASH), (GREEN, DOTTED), (ORANGE, DASHED), (PURPLE, DOT_DASH))
SMOOTH = 0.02  # of the curve's length: the window of the running mean over training metrics
PANELS = 15  # of one figure
# Inches that a legend takes: a line with its space, a letter, a row.
LEGEND_LINE, LEGEND_LETTER, LEGEND_ROW = 0.5, 0.07, 0.2
NICE = [1, 2, 2.5, 5, 10]  # steps between ticks, times powers of ten


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    label: str
    trials: Trials
    colour: str
    stroke: str | tuple = "-"


def draw(
    name: str,
    caption: str,
    panels: Sequence[tuple[str, Sequence[Series]]],
    ylabel: str,
    scale: float = 1.0,
    smooth: bool = False,
    note: Callable[[Sequence[Series]], str] | None = None,
) -> Drawing | None:
    """One panel a model; None where there is nothing to draw."""
    panels = [(title, [s for s in series if any(map(len, s.trials.curves.values()))]) for title, series in panels]
    panels = [(title, series) for title, series in panels if series]
    if not panels:
        return None
    if len(panels) > PANELS:
        caption += f" The first {PANELS} of {len(panels)} models."
        panels = panels[:PANELS]
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    with matplotlib.rc_context(STYLE):
        width = 2.1 * across + (1.5 if across == 1 else 0.3)
        labels = dict.fromkeys(one.label for _, series in panels for one in series)
        in_a_row = max(1, int(width / (LEGEND_LINE + LEGEND_LETTER * max(map(len, labels)))))
        rows = math.ceil(len(labels) / in_a_row)
        figure = Figure(figsize=(width, 1.45 * down + 0.4 + LEGEND_ROW * rows))
        axes = figure.subplots(down, across, squeeze=False)
        handles: dict[str, Any] = {}
        for index, ax in enumerate(axes.ravel().tolist()):
            if index >= len(panels):
                ax.set_axis_off()
                continue
            title, series = panels[index]
            for one in series:
                if (line := band(ax, one, scale, smooth)) is not None:
                    handles.setdefault(one.label, line)
            ax.set_title(title, loc="left", fontsize=7.5 if note else 8.5)
            ax.margins(x=0.02)
            ax.yaxis.set_major_locator(MaxNLocator(5, steps=NICE, min_n_ticks=3))
            ax.xaxis.set_major_locator(MaxNLocator(5, steps=NICE, integer=True))
            if note and (said := note(series)):
                ax.set_title(said, loc="right", fontsize=7, color=series[-1].colour)
        if len(panels) == 1:
            figure.axes[0].set(xlabel="training step", ylabel=ylabel)
        else:
            # One label for all panels: a label of each would push apart rows of which the last is not full.
            figure.supylabel(ylabel, fontsize=8)
            figure.supxlabel("training step", fontsize=8)
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper center",
            ncols=min(in_a_row, len(handles)),
            handlelength=2.6,
        )
        return Drawing(name, caption, figure)


def band(ax: Axes, one: Series, scale: float, smooth: bool):
    """Mean over seeds; the band is one standard deviation to each side, the seeds' own spread."""
    steps, values = curves.together(list(one.trials.curves.values()))
    if not len(steps):
        return None
    values = values * scale
    width = max(1, round(SMOOTH * len(steps))) if smooth else 1
    values = running_mean(values, width)
    mean = values.mean(axis=0)
    marker = "o" if len(steps) <= 25 else None
    (line,) = ax.plot(
        steps,
        mean,
        color=one.colour,
        linestyle=one.stroke,
        marker=marker,
        markersize=2.6,
        zorder=3,
    )
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        # a share or a speed is never below zero, and its band neither
        low = np.maximum(mean - sd, min(0.0, values.min()))
        ax.fill_between(steps, low, mean + sd, color=one.colour, alpha=0.16, linewidth=0, zorder=2)
        for edge in (low, mean + sd):  # where bands overlap, their greys do not tell whose they are
            ax.plot(steps, edge, color=one.colour, linestyle=one.stroke, linewidth=0.5, alpha=0.6, zorder=2)
    return line


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Along the last axis, over ``width`` values centred on each; shorter at the ends."""
    if width <= 1:
        return values
    kernel = np.ones(width)
    weight = np.convolve(np.ones(values.shape[-1]), kernel, mode="same")
    return np.apply_along_axis(lambda row: np.convolve(row, kernel, mode="same") / weight, -1, values)


def by_method(results: Results, measured: Measured, methods: Sequence[str]) -> list[tuple[str, list[Series]]]:
    """Return a panel a model, a line a method; baselines are dotted, the others solid, dashed, dash-dotted in turn."""
    panels, hue = [], colours.of_methods(methods)
    strokes = dict(zip((algo for algo in methods if algo not in BASELINES), cycle(OWN), strict=False))
    for column in results.grid.columns:
        series = []
        for algo in methods:
            cell = results.grid.at.get(((algo,), column))
            if cell is not None and cell.id in measured.by_cell:
                trials = measured.by_cell[cell.id]
                series.append(Series(conventions.method(algo), trials, hue[algo], strokes.get(algo, DOTTED)))
        if len(series) > 1 or len(results.grid.rows) == 1:
            panels.append((conventions.model_title(" ".join(column)), series))
    return panels


def by_tau(by_cell: Mapping[str, Trials], algo: str) -> list[tuple[str, list[Series]]]:
    """Return a panel a model, a line a tau, for the models where ``algo`` ran with several; the paper's is solid
    blue."""
    models: dict[str, list[Trials]] = {}
    for trials in by_cell.values():
        if trials.cell.algo == algo and trials.cell.tau is not None and not trials.cell.noise:
            models.setdefault(trials.cell.model, []).append(trials)
    panels = []
    for model in sorted(models, key=conventions.model_order):
        here = sorted(((t.cell.tau or 0.0, t) for t in models[model]), key=lambda pair: pair[0])
        if len({tau for tau, _ in here}) > 1:
            others = iter(TAUS * len(here))
            series = []
            for tau, one in here:
                label = conventions.tau_label(tau, conventions.rollouts(one.cell.params))
                series.append(Series(label, one, *((BLUE, "-") if tau == conventions.TAU else next(others))))
            panels.append((conventions.model_title(model), series))
    return panels


def mean_gain(series: Sequence[Series]) -> str:
    """``+4.96%``: how much the other series' means over all steps lie above the first's."""
    base = series[0].trials.mean
    said = [
        f"{100 * (one.trials.mean - base) / base:+.2f}%" for one in series[1:] if one.trials.mean is not None and base
    ]
    return ", ".join(said)
