"""Figures as SVG that do not hang on the machine that draws them."""

import re

import pytest
from matplotlib.figure import Figure

from analysis.figures import drawing
from analysis.figures.drawing import Drawing


def made(shift: float = 0.0) -> bytes:
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    ax.plot([0, 1 + shift, 2], [0.1, 0.25 + shift, 0.2], marker="o", label="a method")
    ax.set_title("<exact match>")
    ax.legend()
    return drawing.svg(Drawing("one", "", figure))


@pytest.mark.parametrize("shift", [1e-15, 1e-10])
def test_the_last_digits_of_a_number_change_no_byte(shift: float) -> None:
    assert made() == made(shift)
    assert made() != made(1e-1)


def test_text_is_text_and_nothing_tells_when_or_by_what_it_was_drawn() -> None:
    found = made().decode()
    assert ">a method</text>" in found
    assert "&lt;exact match&gt;" in found
    assert "dc:date" not in found
    assert "dc:creator" not in found
    assert not any(re.search(r"\d\.\d{3}", tag) for tag in re.findall(r"<[^>]*>", found))


def test_every_name_that_is_used_is_there_once() -> None:
    found = made().decode()
    ids = re.findall(r' id="([^"]+)"', found)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', found))
    assert used
    assert used <= set(ids)


def test_the_numbers_of_an_axis_keep_their_digits() -> None:
    """Learning rates were all called 0."""
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    ax.plot([3e-4, 8e-4], [1, 2])
    ax.set_xticks([3e-4, 8e-4], ["0.0003", "0.0008"])
    found = drawing.svg(Drawing("one", "", figure)).decode()
    assert ">0.0003</text>" in found and ">0.0008</text>" in found
