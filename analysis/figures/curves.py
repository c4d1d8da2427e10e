"""The paper's figures for these runs: mean curves over seeds with bands, one file as vector PDF and as PNG."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.paper import conventions
from analysis.results import curves
from analysis.results.measurements import Measured, Trials
from analysis.tables.paper import Results

# Okabe and Ito's colours, told apart with every kind of colour blindness; each method keeps its own.
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
GREY = "#6E6E6E"
DOTTED, DASHED, DOT_DASH = (0, (1.2, 1.0)), (0, (4, 1.2)), (0, (5, 1, 1, 1))
COLOURS = {
    "grpo": GREY,
    "dapo": GREY,
    "gapo_grpo": BLUE,
    "gapo_dapo": BLUE,
    "gmpo": GREEN,
    "krpo": PURPLE,
    "qae": ORANGE,
}
BASELINES = frozenset(baseline for baseline, _ in conventions.PAIRS)
SPARE = (RED, SKY, GREEN, PURPLE, ORANGE)
TAUS = ((SKY, DASHED), (RED, DOT_DASH), (GREEN, DOTTED), (ORANGE, DASHED), (PURPLE, DOT_DASH))
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.hashsalt": "gapo",
}
SMOOTH = 0.02  # of the curve's length: the window of the running mean over training metrics
PANELS = 15  # of one figure
NICE = [1, 2, 2.5, 5, 10]  # steps between ticks, times powers of ten


@dataclass(frozen=True)
class Picture:
    """A drawn figure in both formats. ``number`` is the paper's: ``3``, and ``3 (G)`` for GAPO (G)."""

    name: str
    caption: str
    pdf: bytes
    png: bytes

    @property
    def number(self) -> str:
        return self.name.removeprefix("figure").replace("_grpo", " (G)")


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    label: str
    trials: Trials
    colour: str
    stroke: str | tuple = "-"


def draw(name: str, caption: str, panels: Sequence[tuple[str, Sequence[Series]]], ylabel: str, scale: float = 1.0,
         smooth: bool = False, note: Callable[[Sequence[Series]], str] | None = None) -> Picture | None:  # fmt: skip
    """One panel a model; None where there is nothing to draw."""
    panels = [
        (title, [s for s in series if any(map(len, s.trials.curves.values()))]) for title, series in panels
    ]
    panels = [(title, series) for title, series in panels if series]
    if not panels:
        return None
    if len(panels) > PANELS:
        caption += f" The first {PANELS} of {len(panels)} models."
        panels = panels[:PANELS]
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.1 * across + (1.5 if across == 1 else 0.3), 1.45 * down + 0.6))
        axes = figure.subplots(down, across, squeeze=False)
        handles: dict[str, object] = {}
        for index, ax in enumerate(axes.flat):
            if index >= len(panels):
                ax.set_axis_off()
                continue
            title, series = panels[index]
            for one in series:
                if (line := band(ax, one, scale, smooth)) is not None:
                    handles.setdefault(one.label, line)
            ax.set_title(title, loc="left", fontsize=7.5 if note else 8.5)
            ax.margins(x=0.02)
            ax.yaxis.set_major_locator(MaxNLocator(5, steps=NICE))
            ax.xaxis.set_major_locator(MaxNLocator(5, steps=NICE, integer=True))
            if note and (said := note(series)):
                ax.set_title(said, loc="right", fontsize=7, color=series[-1].colour)
        # One label for all panels: a label of each would push apart rows of which the last is not full.
        figure.supylabel(ylabel, fontsize=8)
        figure.supxlabel("training step", fontsize=8)
        figure.legend(
            handles.values(), handles.keys(), loc="outside upper center", ncols=min(6, len(handles)),
            handlelength=2.6,
        )  # fmt: skip
        return picture(name, caption, figure)


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
        steps, mean, color=one.colour, linestyle=one.stroke, marker=marker, markersize=2.6, zorder=3,
    )  # fmt: skip
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        # a share or a speed is never below zero, and its band neither
        low = np.maximum(mean - sd, min(0.0, values.min()))
        ax.fill_between(steps, low, mean + sd, color=one.colour, alpha=0.16, linewidth=0, zorder=2)
    return line


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Along the last axis, over ``width`` values centred on each; shorter at the ends."""
    if width <= 1:
        return values
    kernel = np.ones(width)
    weight = np.convolve(np.ones(values.shape[-1]), kernel, mode="same")
    return np.apply_along_axis(lambda row: np.convolve(row, kernel, mode="same") / weight, -1, values)


def picture(name: str, caption: str, figure: Figure) -> Picture:
    """Both formats, without dates: the same data give the same bytes."""
    files = {}
    for kind, extra in (
        ("pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
        ("png", {"Software": None}),
    ):
        out = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Glyph .* missing"
            )  # a name in letters that the font lacks: boxes
            figure.savefig(out, format=kind, dpi=200, metadata=extra)
        files[kind] = out.getvalue()
    return Picture(name, caption, files["pdf"], files["png"])


def colour(algo: str, used: Sequence[str]) -> str:
    unknown = [a for a in used if a not in COLOURS]
    return COLOURS.get(algo) or SPARE[unknown.index(algo) % len(SPARE)]


def by_method(results: Results, measured: Measured, methods: Sequence[str]) -> list[tuple[str, list[Series]]]:
    """A panel a model, a line a method; baselines are dotted."""
    panels = []
    for column in results.grid.columns:
        series = []
        for algo in methods:
            cell = results.grid.at.get(((algo,), column))
            if cell is not None and cell.id in measured.by_cell:
                trials = measured.by_cell[cell.id]
                stroke = DOTTED if algo in BASELINES else "-"
                series.append(Series(conventions.method(algo), trials, colour(algo, methods), stroke))
        if len(series) > 1 or len(results.grid.rows) == 1:
            panels.append((conventions.model_title(" ".join(column)), series))
    return panels


def by_tau(by_cell: Mapping[str, Trials], algo: str) -> list[tuple[str, list[Series]]]:
    """A panel a model, a line a tau, for the models where ``algo`` ran with several; the paper's is solid blue."""
    models: dict[str, list[Trials]] = {}
    for trials in by_cell.values():
        if trials.cell.algo == algo and trials.cell.tau is not None and not trials.cell.noise:
            models.setdefault(trials.cell.model, []).append(trials)
    panels = []
    for model in sorted(models, key=conventions.model_order):
        here = sorted(models[model], key=lambda t: t.cell.tau)
        if len({t.cell.tau for t in here}) > 1:
            others = iter(TAUS * len(here))
            series = []
            for one in here:
                label = conventions.tau_label(one.cell.tau, conventions.rollouts(one.cell.params))
                series.append(
                    Series(label, one, *((BLUE, "-") if one.cell.tau == conventions.TAU else next(others)))
                )
            panels.append((conventions.model_title(model), series))
    return panels


def mean_gain(series: Sequence[Series]) -> str:
    """``+4.96%``: how much the other series' means over all steps lie above the first's."""
    base = series[0].trials.mean
    said = [
        f"{100 * (one.trials.mean - base) / base:+.2f}%"
        for one in series[1:]
        if one.trials.mean is not None and base
    ]
    return ", ".join(said)
