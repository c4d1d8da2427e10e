"""The accuracy of each method, and the difference to its baseline beside it, with intervals."""

from __future__ import annotations

import math
from collections.abc import Container

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures import colours, families
from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.results.measurements import Measured
from analysis.statistics.inference import Summary
from analysis.tables.captions import lower, title
from analysis.tables.paper import Results
from gapo_lab.utils.plot_style import BLACK, GREY, STYLE

ROW, EDGES = 0.27, 0.95  # inches
OWN = "each method at its own settings"


def draw(results: Results, name: str, at: str = OWN) -> Drawing | None:
    """Return a line a method on the only model; None where none has two seeds. at: at which settings, in words."""
    if len(results.grid.columns) != 1:
        return None
    column = results.grid.columns[0]
    rows = [row for row in _rows(results) if _summary(results, row)]
    if not rows:
        return None
    hue = colours.of_methods(rows)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.6, ROW * len(rows) + EDGES))
        left, right = figure.subplots(1, 2, sharey=True)
        for place, algo in enumerate(rows):
            one = _summary(results, algo)
            scale = results.measured.scale
            if one is not None:
                _dot(left, place, one.mean * scale, one.low * scale, one.high * scale, hue[algo])
            baseline = _baseline(algo, rows)
            found = results.comparison(column[0], algo, baseline) if baseline else None
            if found is not None and not math.isnan(found.low):
                _dot(right, place, found.delta * scale, found.low * scale, found.high * scale, hue[algo])
            else:
                white = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
                right.text(0.0, place, "baseline", ha="center", va="center", fontsize=7, color=GREY, bbox=white)
        right.axvline(0.0, color=BLACK, linewidth=0.8, zorder=1)
        left.set_yticks(range(len(rows)), [conventions.method(algo) for algo in rows])
        left.set_ylim(len(rows) - 0.4, -0.6)
        widest = max(abs(end) for end in right.get_xlim())
        right.set_xlim(-widest, widest)
        share = results.measured.is_share
        left.set_title(_heading(results.measured), loc="left")
        right.set_title(f"difference to its baseline{', points' if share else ''}", loc="left")
    seeds = len(results.seeds)
    caption = (
        f"{title(results.measured)}, {at}: mean over {seeds} seeds and 95% interval. "
        "Right: the difference to its baseline with Welch's 95% interval. An interval that holds zero decides nothing."
    )
    return Drawing(name, caption, figure)


def _heading(measured: Measured) -> str:
    """Return `expected exact match on the ID test set, %`."""
    text = lower(title(measured)).replace(" accuracy", "")
    return text.replace(" (%)", "") + (", %" if measured.is_share else "")


def _rows(results: Results) -> list[str]:
    """Return each baseline before what is compared with it."""
    return [algo for family in families.of([row[0] for row in results.grid.rows]).values() for algo in family]


def _baseline(algo: str, rows: Container[str]) -> str | None:
    return next((name for name in conventions.baselines(algo) if name in rows), None)


def _summary(results: Results, algo: str) -> Summary | None:
    cell = results.grid.at.get(((algo,), results.grid.columns[0]))
    found = None if cell is None else results.summaries.get(cell.id)
    return found if found is not None and found.n > 1 else None


def _dot(ax: Axes, place: int, middle: float, low: float, high: float, colour: str) -> None:
    ax.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
    ax.plot([middle], [place], color=colour, marker="o", markersize=5, zorder=3)
