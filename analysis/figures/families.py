"""Accuracy over steps of all methods of a study: a panel for each baseline and what is compared with it."""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures import colours, curves
from analysis.figures.curves import DASHED, DOT_DASH, DOTTED, NICE, Series
from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.tables.captions import axis, title
from analysis.tables.paper import Results
from gapo_lab.utils.plot_style import STYLE

STROKES = (DOTTED, "-", DASHED, DOT_DASH)


def of(methods: list[str]) -> dict[str, list[str]]:
    """{baseline: it and the methods that are compared with it}, in the paper's order."""
    found: dict[str, list[str]] = {baseline: [] for baseline, _ in conventions.PAIRS}
    for algo in sorted(methods, key=conventions.method_order):
        baseline = algo if algo in found else next(iter(conventions.baselines(algo)), algo)
        found.setdefault(baseline, []).append(algo)
    return {baseline: family for baseline, family in found.items() if family}


def draw(results: Results, name: str) -> Drawing | None:
    """Return the mean curves on the only model; None where there are none."""
    if len(results.grid.columns) != 1:
        return None
    methods, measured = [row[0] for row in results.grid.rows], results.measured
    hue, families = colours.of_methods(methods), of(methods)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.3 * len(families), 2.5))
        axes = figure.subplots(1, len(families), sharey=True, squeeze=False).ravel().tolist()
        for ax, (baseline, family) in zip(axes, families.items(), strict=True):
            for place, algo in enumerate(family):
                trials = results.trials((algo,), results.grid.columns[0])
                stroke = STROKES[place % len(STROKES)]
                if trials is not None and any(map(len, trials.curves.values())):
                    line = curves.band(ax, Series(algo, trials, hue[algo], stroke), measured.scale, smooth=False)
                    line.set_label(conventions.method(algo))
            ax.set_title(f"{conventions.method(baseline)} and what builds on it", loc="left")
            ax.set_xlabel("training step")
            ax.xaxis.set_major_locator(MaxNLocator(5, steps=NICE, integer=True))
            ax.legend(loc="lower right", handlelength=2.6)
        axes[0].set_ylabel(axis(measured))
    caption = f"{title(measured)} over steps. Mean over seeds; band: one standard deviation over seeds."
    return Drawing(name, caption, figure)
