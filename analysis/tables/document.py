"""A report as data: what the HTML page, the PDF and the Markdown page are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.tables.table import Table

FRONT = ("figure3_grpo", "figure3", "figureS2", "figure6_grpo", "figure6")  # figures for the front, the best first


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
class Document:
    """``notice``: what every page must say, empty for runs that trained; ``missing``: what is missing and left out.

    ``claims``: a sentence for each claim; ``verdicts``: every comparison that has a line in words; ``cautions``: what
    must be read before any number.
    """

    title: str
    notice: str
    facts: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    verdicts: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    claims: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def main_table(self) -> Table | None:
        """The table of the report's front: accuracy on the ID test set, or the slice that was asked for."""
        found = {
            one.name: one for one in self.tables if one.name.startswith(("table", "slice")) and one.name != "table1"
        }
        return found.get("table2") or next(iter(found.values()), None)

    @property
    def main_picture(self) -> Picture | None:
        """The figure of the report's front: accuracy over steps where there is one."""
        found = {one.name: one for one in self.pictures}
        return next((found[name] for name in FRONT if name in found), None) or next(iter(found.values()), None)
