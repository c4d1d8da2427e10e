"""The lines of the figures over steps can be told apart: by colour, and in greys by their strokes."""

from __future__ import annotations

import measured_cells
from matplotlib.figure import Figure

from analysis.figures import colours, curves
from gapo_lab.utils.plot_style import BLACK, GREY

CURVES = [[0.21, 0.19, 0.20], [0.21, 0.20, 0.22]]


def lines(*algos: str) -> list[curves.Series]:
    results = measured_cells.results(dict.fromkeys(algos, CURVES))
    ((_, series),) = curves.by_method(results, results.measured, [row[0] for row in results.grid.rows])
    return series


def test_methods_of_ones_own_differ_from_their_baseline_in_colour_and_stroke():
    found = lines("grpo", "winsor", "another", "third")
    assert len({one.colour for one in found}) == len({str(one.stroke) for one in found}) == 4
    assert found[0].colour == GREY and BLACK not in {one.colour for one in found}
    assert len(set(colours.of_methods(["grpo", "gapo_grpo", "a", "b", "c", "d", "e"]).values())) == 7


def test_a_band_has_an_edge_in_the_stroke_of_its_line():
    for one in lines("grpo", "winsor"):
        ax = Figure().subplots()
        line = curves.band(ax, one, 100.0, smooth=False)
        edges = [other for other in ax.lines if other is not line]
        assert len(edges) == 2 and {edge.get_linestyle() for edge in edges} == {line.get_linestyle()}


def test_a_short_axis_has_three_numbers_or_more():
    drawing = curves.draw("figure3", "", [("nano", lines("grpo", "winsor"))], "%", 100.0)
    (ax,) = drawing.figure.axes
    low, high = ax.get_ylim()
    assert sum(low <= tick <= high for tick in ax.get_yticks()) >= 3
