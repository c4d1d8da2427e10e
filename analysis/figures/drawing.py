"""From a matplotlib figure to the files of a report."""

from __future__ import annotations

import io
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

from analysis.tables.document import Picture
from gapo_lab.utils.plot_style import FONTS, RED, STYLE


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


def _file(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # a name in letters that the font lacks: boxes
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(out, format=kind, dpi=200, metadata=metadata)
    return out.getvalue()
