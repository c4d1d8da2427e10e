"""The report as one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2

from analysis.render.latex import TEMPLATES
from analysis.results.runs import Selection
from analysis.tables.table import Table, numbers
from gapo_lab.tracking import uri as addresses

if TYPE_CHECKING:
    from analysis.figures.curves import Picture

LOCAL = "http://127.0.0.1:5000"  # where `python -m gapo_lab ui` shows an SQLite database


@dataclass(frozen=True)
class Link:
    text: str
    href: str
    seeds: tuple[tuple[int, str], ...]


def run_links(selection: Selection, uri: str) -> list[Link]:
    """A link to each cell's page and to its runs, by seed, in MLflow's pages."""
    root = uri.rstrip("/") if addresses.is_server(uri) else LOCAL

    def page(experiment: str, run: str) -> str:
        return f"{root}/#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"

    out = []
    for cell in selection.cells:
        if not cell.runs:
            continue
        first = cell.runs[0]
        parent = first.tags.get("mlflow.parentRunId")
        seeds = tuple((run.seed, page(run.experiment, run.id)) for run in cell.runs)
        out.append(Link(cell.name, page(first.experiment, parent) if parent else seeds[0][1], seeds))
    return out


def page(title: str, facts: Sequence[tuple[str, str]], missing: Sequence[str], verdicts: Sequence[str],
         tables: Sequence[Table], pictures: Sequence[Picture], links: Sequence[Link]) -> str:  # fmt: skip
    """The whole page. Whatever stands in names and messages is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    # A PNG says its width in bytes 16 to 19; it is drawn for screens and print of twice the usual density.
    shown = [
        (one, int.from_bytes(one.png[16:20], "big") // 2, base64.b64encode(one.png).decode())
        for one in pictures
    ]
    return environment.get_template("report.html.jinja").render(
        title=title,
        facts=facts,
        missing=missing,
        verdicts=verdicts,
        tables=tables,
        numbers=numbers([one.name for one in tables]),
        pictures=shown,
        links=links,
    )
