"""A report as data: what the HTML page, the PDF and the Markdown page are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.tables.table import Table


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
    """``notice``: what every page must say, empty for runs that trained; ``missing``: what is missing and left out."""

    title: str
    notice: str
    facts: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    verdicts: tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
