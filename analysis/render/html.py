"""The report as one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from analysis.render.latex import TEMPLATES
from analysis.tables.document import Document
from analysis.tables.table import numbers


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
    """The whole page. Whatever stands in names and messages is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A PNG says its width in bytes 16 to 19; it is drawn for screens and print of twice the usual density.
    shown = [
        (one, int.from_bytes(one.png[16:20], "big") // 2, base64.b64encode(one.png).decode())
        for one in document.pictures
    ]
    return environment.get_template("report.html.jinja").render(
        title=document.title,
        notice=document.notice,
        facts=document.facts,
        missing=document.missing,
        verdicts=document.verdicts,
        tables=document.tables,
        numbers=numbers([one.name for one in document.tables]),
        pictures=shown,
        links=links,
    )
