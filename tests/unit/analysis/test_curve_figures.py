"""The lines of the figures over steps can be told apart: by colour, and in greys by their strokes."""

from __future__ import annotations

import measured_cells
from matplotlib.figure import Figure

from analysis.figures import colours, curves, selection
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


def test_a_legend_of_many_methods_lies_within_its_figure():
    names = ("grpo", "gapo_grpo", "gapo_centred", "grpo_shifted", "median", "trimmed_mean")
    drawing = curves.draw("figure3", "", [("nano", lines(*names))], "%", 100.0)
    drawing.figure.canvas.draw()
    box, page = drawing.figure.legends[0].get_window_extent(), drawing.figure.bbox
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    (ax,) = drawing.figure.axes
    assert ax.get_window_extent().height > 0.5 * page.height


def test_a_figure_has_a_baseline_and_all_that_is_compared_with_it_but_pairs_where_the_paper_has_them():
    rows = ["gmpo", "krpo", "qae", "grpo", "dapo", "gapo_grpo", "gapo_dapo", "mine"]
    assert selection.compared(rows, False) == [
        (["grpo", "gmpo", "krpo", "gapo_grpo", "mine"], "_grpo"),
        (["dapo", "qae", "gapo_dapo"], ""),
    ]
    assert selection.compared(rows, True) == [(["grpo", "gapo_grpo"], "_grpo"), (["dapo", "gapo_dapo"], "")]
    for alone in (["rank", "median"], ["gapo_grpo", "rank", "gapo_dapo"], ["grpo", "dapo"], ["grpo"]):
        assert selection.compared(alone, False) == selection.compared(alone, True) == [(alone, "")]
