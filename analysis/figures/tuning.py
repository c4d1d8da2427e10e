"""Accuracy on the dev set over the learning rate, a line a method: what each method was tuned by."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.figures import colours
from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.results.measurements import Measured
from analysis.tables import captions
from analysis.tables.tuning import Tried, Tuned, best
from gapo_lab.utils.plot_style import STYLE

RATE = "lr"
STROKES = ("-", (0, (4, 1.2)), (0, (1.2, 1.0)), (0, (5, 1, 1, 1)))
MARKERS = "os^Dv<>"


def draw(tuned: Tuned) -> list[Drawing]:
    """Return a figure with a panel a model; none where no method was tried at two rates."""
    measured = tuned.measured
    rated = {at: found for at, settings in tuned.settings.items() if len(found := _with_rate(settings)) > 1}
    models = list(dict.fromkeys(model for model, _ in rated))
    if not models:
        return []
    methods = list(dict.fromkeys(algo for _, algo in rated))
    hue = colours.of_methods(methods)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(models) + 1.6, 2.4))
        for ax, model in zip(figure.subplots(1, len(models), squeeze=False)[0], models, strict=True):
            rates = set()
            for number, algo in enumerate(methods):
                if settings := rated.get((model, algo)):
                    look = {"color": hue[algo], "marker": MARKERS[number % len(MARKERS)]}
                    _line(ax, settings, measured, conventions.method(algo), STROKES[number % len(STROKES)], look)
                    rates |= {rate for rate, _ in settings}
            ax.set(title=conventions.model_title(model), xscale="log", xlabel="learning rate")
            ax.xaxis.set_major_locator(FixedLocator(sorted(rates)))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        figure.axes[0].set_ylabel(f"{captions.axis(measured)} (dev set)")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", handlelength=2.6)
        caption = (
            f"Tuning: {captions.lower(captions.title(measured))} over the learning rate, mean over seeds, bars: one "
            "standard deviation. Filled: what was chosen for the method. A marker without a line differs in more than "
            "the rate."
        )
        return [Drawing("figureS3", caption, figure)]


def _with_rate(settings: Sequence[Tried]) -> list[tuple[float, Tried]]:
    found = []
    for one in settings:
        text = dict(word.split("=", 1) for word in one.words).get(RATE)
        try:
            found.append((float(text or ""), one))
        except ValueError:
            continue
    return found


def _line(
    ax: Axes, settings: Sequence[tuple[float, Tried]], measured: Measured, label: str, stroke: object, look: dict
) -> None:
    """Draw the settings that differ in nothing but the rate as a line, the most common ones; the others as markers."""
    kinds: dict[tuple[str, ...], list[tuple[float, Tried]]] = {}
    for rate, one in settings:
        kinds.setdefault(tuple(word for word in one.words if not word.startswith(f"{RATE}=")), []).append((rate, one))
    line = max(kinds.values(), key=len)
    ax.plot(
        [rate for rate, _ in line],
        [one.mean * measured.scale for _, one in line],
        linestyle=stroke,
        markersize=4,
        markerfacecolor="white",
        label=label,
        **look,
    )
    chosen = best([one for _, one in settings])
    for rate, one in settings:
        ax.errorbar(
            rate,
            one.mean * measured.scale,
            yerr=(one.sd or 0.0) * measured.scale,
            markersize=4,
            markerfacecolor=look["color"] if one is chosen else "white",
            linestyle="none",
            elinewidth=0.7,
            zorder=4 if one is chosen else 3,
            **look,
        )
