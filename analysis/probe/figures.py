"""The probe's own figure: how well each method keeps the true gradient."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from analysis.figures.drawing import Drawing
from analysis.paper import conventions
from analysis.probe.methods import Found
from gapo_lab.utils.plot_style import BLUE, ORANGE, STYLE


def cosines(found: Sequence[Found], noise: float) -> Drawing:
    """Return a line for each method: the cosine without and with outliers."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 0.7 + 0.23 * len(found)))
        ax = figure.subplots()
        places = range(len(found))
        for place, one in zip(places, found, strict=True):
            ax.plot([one.noisy, one.cosine], [place, place], color="0.8", linewidth=1.5, zorder=1)
        ax.scatter([one.cosine for one in found], places, color=BLUE, s=24, label="these rewards")
        ax.scatter([one.noisy for one in found], places, color=ORANGE, s=24, marker="s", label=f"{noise:.0%} outliers")
        ax.set_yticks(places, [conventions.method(one.name) for one in found])
        ax.invert_yaxis()
        ax.set_xlabel("cosine with the true gradient")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper right", ncols=2)
        caption = (
            "How well each method keeps the direction of the true gradient: on these rewards, and with "
            f"{noise:.0%} of them replaced by outliers."
        )
        return Drawing("cosines", caption, figure)
