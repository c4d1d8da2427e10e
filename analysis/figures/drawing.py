"""From a matplotlib figure to the files of a report."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

from analysis.tables.document import Picture
from gapo_lab.utils.plot_style import FONTS, RED, STYLE

# what is no text, numbers with more than two digits, and the names of markers, clips and hatches
_TAG = re.compile(r"<[^>]*>")
_LONG = re.compile(r"-?\d+\.\d{3,}")
_HASHED = re.compile(r"\b[a-z][0-9a-f]{10}\b")


@dataclass(frozen=True)
class Drawing:
    """A figure that is not rendered yet."""

    name: str
    caption: str
    figure: Figure


def font(name: str) -> AbstractContextManager[None]:
    """Draw with this font, a key of `FONTS`, for as long as the context lasts."""
    return matplotlib.rc_context(FONTS[name])


def render(one: Drawing, notice: str = "") -> Picture:
    """Render both formats, without dates: the same data give the same bytes. ``notice``: printed on the figure."""
    if notice:
        one.figure.text(
            0.5, 0.5, notice, color=RED, alpha=0.6, fontsize=13, rotation=12, ha="center", va="center", zorder=10
        )
    return Picture(
        one.name,
        f"{notice}: {one.caption}" if notice else one.caption,
        pdf=_file(one.figure, "pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
        png=_file(one.figure, "png", {"Software": None}),
    )


def svg(one: Drawing) -> bytes:
    """Render a figure as SVG: the same bytes on every machine with these versions of matplotlib and numpy.

    Text stays text, so no glyph is drawn; where it stands is measured with the font that matplotlib brings. Coordinates
    have two digits, and names go by the order in which they come. matplotlib prints six digits and makes names of all
    sixteen, of which the last hangs on the processor.
    """
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        text = _file(one.figure, "svg", {"Date": None, "Creator": None}).decode()
    text = _TAG.sub(lambda tag: _LONG.sub(_two_digits, tag[0]), text)
    names = {name: f"{name[0]}{number}" for number, name in enumerate(dict.fromkeys(_HASHED.findall(text)))}
    text = _HASHED.sub(lambda found: names[found[0]], text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines()).encode()


def _two_digits(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _file(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # a name in letters that the font lacks: boxes
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(out, format=kind, dpi=200, metadata=metadata)
    return out.getvalue()
