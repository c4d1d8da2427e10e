"""A report, or a shorter page, as one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from analysis.render.latex import TEMPLATES
from analysis.render.sentence import sentence
from analysis.tables.document import Document, Picture
from analysis.tables.table import Table, heads

# What of the facts stands at the head of the page; all of them stand with the runs.
SHORT = ("Runs", "Data", "Scale", "Training", "Measure")
# The folded tables: a heading, and what their names begin with.
GROUPS = (
    ("More tables", ("table", "slice", "tuning", "rewards")),
    ("By noise and by tau", ("noise", "tau")),
    ("Beside the paper", ("against",)),
    ("Comparisons", ("comparisons",)),
    ("Statistics of each cell", ("statistics",)),
)


@dataclass(frozen=True)
class RunLink:
    """``href``: empty where it is not known where the run is."""

    seed: int
    key: str
    href: str


@dataclass(frozen=True)
class CellLink:
    cell: str
    runs: tuple[RunLink, ...]


def page(document: Document, links: Sequence[CellLink]) -> str:
    """Return the page, with one screen in front and the rest folded. What stands in names and messages is escaped."""
    front_table, front_picture = document.main_table, document.main_picture
    rest = [one for one in document.tables if one is not front_table]
    names = {id(one) for _, start in GROUPS for one in rest if one.name.startswith(start)}
    groups = [(head, [one for one in rest if one.name.startswith(start)]) for head, start in GROUPS]
    groups[0] = (groups[0][0], groups[0][1] + [one for one in rest if id(one) not in names])
    return _template("report.html.jinja").render(
        title=document.title,
        notice=document.notice,
        facts=document.facts,
        short=SHORT,
        missing=document.missing,
        cautions=document.cautions,
        claims=document.claims,
        verdicts=document.verdicts,
        tables=groups,
        numbers={**document.table_numbers, **document.figure_numbers},
        is_papers=document.is_papers,
        front_table=front_table,
        front_picture=front_picture and _shown(front_picture),
        pictures=[_shown(one) for one in document.pictures if one is not front_picture],
        links=links,
    )


def short_page(
    title: str,
    said: Sequence[str],
    facts: Sequence[tuple[str, str]],
    table: Table,
    pictures: Sequence[Picture],
) -> str:
    """Return a page with nothing folded: sentences, facts, one table and figures."""
    return _template("short_page.html.jinja").render(
        title=title,
        said=said,
        facts=facts,
        table=table,
        numbers={table.name: "1", **{one.name: str(place) for place, one in enumerate(pictures, 1)}},
        pictures=[_shown(one) for one in pictures],
    )


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sentence": sentence, "heads": heads}
    return environment.get_template(name)


def _shown(one: Picture) -> tuple[Picture, int, str]:
    """Return a picture with its width on the page, in pixels, and its bytes in base64.

    A PNG says its width in bytes 16 to 19; it is drawn for screens and print of twice the usual density.
    """
    return one, int.from_bytes(one.png[16:20], "big") // 2, base64.b64encode(one.png).decode()
