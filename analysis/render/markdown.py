"""The report as a page of Markdown with its figures beside it: `python -m analysis.report STUDY --markdown FILE`.

Every number on it comes from the report; nothing about the machine that holds the runs does. What a person writes
between the two comments below the title stays when the page is written again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from analysis.render.latex import TEMPLATES
from analysis.render.sentence import sentence
from analysis.tables.document import Document
from analysis.tables.table import Entry, Table, heads, rows_of
from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

# A fact that only says where the runs ran.
LOCAL = "Hosts"
BEGIN, END = "<!-- your own words: kept when this page is written again -->", "<!-- end of your own words -->"


def page(document: Document, images: str, own: str = "") -> str:
    """Return the page. images: the folder of its figures as the page names it; own: what a person has to say."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"words": words, "grid": grid}
    return environment.get_template("results.md.jinja").render(
        title=document.title,
        notice=document.notice,
        facts=[fact for fact in document.facts if fact[0] != LOCAL],
        missing=document.missing,
        verdicts=document.verdicts,
        cautions=document.cautions,
        claims=document.claims,
        tables=document.tables,
        table_numbers=document.table_numbers,
        figure_numbers=document.figure_numbers,
        pictures=document.pictures,
        images=images,
        own=f"{BEGIN}{own or chr(10)}{END}",
    )


def user_words(path: Path) -> str:
    """Return what a person wrote into the page that is there; UserError for a page that does not say where this is."""
    try:
        old = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}). Name another --markdown") from error
    _, begun, rest = old.partition(BEGIN)
    words, ended, _ = rest.partition(END)
    if not (begun and ended):
        raise UserError(f"{path} is there and no page of a report. Name another --markdown, or move it away")
    return words


def write(document: Document, path: Path) -> list[Path]:
    """Write the page to `path` and its figures to `img/<its name>/` beside it; what was written."""
    images = path.parent / "img" / path.stem
    written = {images / f"{picture.name}.png": picture.png for picture in document.pictures}
    written[path] = page(document, f"img/{path.stem}", user_words(path)).encode()
    write_all(written, "Name another --markdown")
    return list(written)


def write_all(files: Mapping[Path, bytes], remedy: str) -> None:
    """Write the files of a page. UserError, with what to do, where one cannot be written."""
    for place, content in files.items():
        try:
            atomic_files.make_folder(place.parent)
            atomic_files.write_bytes(place, content)
        except OSError as error:
            raise UserError(f"cannot write to {place} ({error.strerror}). {remedy}") from error


def grid(table: Table) -> str:
    """Return a table of GitHub's Markdown: levels of the head in one row, the best in bold, differences indented."""
    rows = rows_of(table, _entry)
    levels = len(table.header)
    head = [", ".join(dict.fromkeys(word for word in table.stub if word)), *heads(table)]
    align = [":--", *[":--" if table.ragged else "--:"] * table.width]
    out = [_row(words(cell) for cell in head), _row(align)]
    for line, row in zip(table.lines, rows[levels:], strict=True):
        label = words(row[0])
        out.append(_row([f"&nbsp;&nbsp;{label}" if line.kind == "delta" else label, *row[1:]]))
    return "\n".join(out)


def section(table: Table) -> str:
    """Return a table with its caption above and its notes below."""
    marked = ((f"<sup>{words(mark)}</sup> " if mark else "", sentence(text)) for mark, text in table.notes)
    notes = " ".join(f"{mark}{words(text)}." for mark, text in marked)
    return "\n\n".join([f"**{words(table.caption)}**", grid(table), *([notes] if notes else [])])


def words(text: str) -> str:
    """Text that means itself in Markdown."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", str(text).replace("\n", " "))


def _row(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _entry(entry: Entry) -> str:
    text = words(entry.text) + (f" ± {words(entry.spread)}" if entry.spread else "")
    text = f"**{text}**" if entry.rank == 1 else text
    return text + (f"<sup>{words(','.join(entry.marks))}</sup>" if entry.marks else "")
