"""A report as data: what the HTML page, the PDF and the Markdown page are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.tables.table import Table, numbers

FRONT = ("figure3_grpo", "figure3", "figureS2", "figure6_grpo", "figure6")  # figures for the front, the best first


@dataclass(frozen=True)
class Picture:
    """A drawn figure in both formats."""

    name: str
    caption: str
    pdf: bytes
    png: bytes


@dataclass(frozen=True)
class Document:
    """``notice``: what every page must say, empty for runs that trained; ``missing``: what is missing and left out.

    ``claims``: a sentence for each claim; ``verdicts``: every comparison that has a line in words; ``cautions``: what
    must be read before any number; ``is_papers``: these runs are the paper's experiments, and tables
    and figures have its numbers.
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
    is_papers: bool = False

    @property
    def table_numbers(self) -> dict[str, str]:
        return numbers([one.name for one in self.tables], self.is_papers)

    @property
    def figure_numbers(self) -> dict[str, str]:
        return numbers([one.name for one in self.pictures], self.is_papers)

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


def front_first(one: Document) -> Document:
    """Let the table and the figure of the front come first, unless the paper's numbers set the order."""
    if one.is_papers:
        return one
    return replace(
        one,
        tables=tuple(sorted(one.tables, key=lambda table: table is not one.main_table)),
        pictures=tuple(sorted(one.pictures, key=lambda picture: picture is not one.main_picture)),
    )
