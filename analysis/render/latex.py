"""Tables as LaTeX: fragments to \\input into a paper, and the document that holds them all. Pure but for ``compile``.

The fragments need booktabs: no package beyond texlive-latex-recommended.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2

from analysis.render.parts import Part, parts
from analysis.tables.document import Document
from analysis.tables.table import Entry, Line, Table

TEMPLATES = Path(__file__).parent / "templates"
INSTALL = (
    "no LaTeX on this machine: the .tex files are written; for report.pdf, and the tables as .pdf and .png, "
    "install texlive-latex-recommended"
)
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "–": "--",
    "−": "$-$",
    "Δ": r"$\Delta$",
    "τ": r"$\tau$",
    "±": r"$\pm$",
    "°": r"$^{\circ}$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "…": r"\dots{}",
    "†": r"\dag{}",
}
_SIGN = re.compile(r"(?<![\w.])[+-](?=\d)")
_PLAIN = re.compile(r"(?:[A-Za-z0-9 .,:;/()\[\]*+=?!'@]|-(?!-))*")


def escape(text: str) -> str:
    """``text`` as LaTeX prints it; a letter that LaTeX's fonts lack is shown by its code."""
    if _PLAIN.fullmatch(text):
        return text
    follows = [*text[1:], ""]
    # Two hyphens stay two: LaTeX would make a dash of them.
    return (
        "".join(
            "-{}" if char == after == "-" else _SPECIAL.get(char) or _plain(char)
            for char, after in zip(text, follows, strict=True)
        )
        if text
        else ""
    )


def _plain(char: str) -> str:
    if char in "\n\t\r":
        return " "
    if ord(char) < 0x20 or ord(char) > 0x17F:
        return f"U+{ord(char):04X}"
    return char if ord(char) < 0x7F or ord(char) >= 0xA1 else " "


def _signed(text: str) -> str:
    """Return a number with a minus that is as wide as its plus."""
    return _SIGN.sub(lambda sign: f"${sign[0]}$", escape(text))


def entry(one: Entry) -> str:
    """Return a cell: bold for the best, underlined for the second, footnote letters raised."""
    text = _signed(one.text)
    if one.rank == 1:
        text = rf"\textbf{{{text}}}"
    elif one.rank == 2:
        text = rf"\underline{{{text}}}"
    if one.spread:
        text += rf"{{\scriptsize\,$\pm$\,{escape(one.spread)}}}"
    if one.marks:
        # Takes no room, so that the digits above and below stay in line.
        marks = escape(",".join(one.marks)).replace(r"$^{\circ}$", r"$\circ$")
        text += rf"\rlap{{\textsuperscript{{{marks}}}}}"
    return text


def table(one: Table) -> str:
    """Return the .tex fragment of a table, a whole float; a comment at its head says what it was drawn from."""
    template = _environment().get_template("table.tex.jinja")
    return template.render(table=one, parts=parts(one), align="l" if one.ragged else "r")


def bare(one: Table) -> str:
    """Return the `tabular` alone, uncut, to \\input into a float of one's own; its notes stand in comments.

    Of runs that are no result its last row says so.
    """
    blocks = one.blocks
    if one.notice:
        blocks = (*blocks, (Line(one.notice, tuple(Entry() for _ in range(one.width))),))
    part = Part(one.header, blocks, "")
    template = _environment().get_template("bare.tex.jinja")
    return template.render(table=one, part=part, align="l" if one.ragged else "r")


def document(one: Document) -> str:
    """Return the report; its tables are the .tex fragments beside it, its figures the .pdf files."""
    names = [table.name for table in one.tables]
    return (
        _environment()
        .get_template("report.tex.jinja")
        .render(
            title=one.title,
            notice=one.notice,
            tables=names,
            numbers=one.table_numbers,
            facts=one.facts,
            missing=one.missing,
            verdicts=one.verdicts,
            cautions=one.cautions,
            claims=one.claims,
            figures=[(f"{p.name}.pdf", one.figure_numbers[p.name], p.caption) for p in one.pictures],
        )
    )


def pages(tables: Sequence[str]) -> str:
    """Return a document with each of these .tex fragments on a page of its own."""
    return _environment().get_template("pages.tex.jinja").render(tables=tables)


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"tex": escape, "entry": entry}
    return made


def compile(folder: Path, name: str, text: str) -> tuple[bytes | None, str]:
    """Return the PDF of the document ``text``, which may \\input what lies in ``folder``; or None and one line that
    says why.

    The same files give the same PDF, byte for byte. One pass: nothing in these documents refers to another page.
    """
    program = shutil.which("pdflatex")
    if program is None:
        return None, INSTALL
    # No shell commands; and no date, so that the same input gives the same bytes.
    env = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "shell_escape": "f"}
    with tempfile.TemporaryDirectory() as made:
        source = Path(made) / f"{name}.tex"
        source.write_text(text, encoding="utf-8")
        command = [
            program,
            "-interaction=nonstopmode",
            "-halt-on-error",
            f"-output-directory={made}",
            str(source),
        ]
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, check=False, text=True, errors="replace", timeout=300
        )
        if done.returncode:
            return None, f"{name}.tex does not compile: {_first_error(done.stdout)}"
        return source.with_suffix(".pdf").read_bytes(), ""


def _first_error(log: str) -> str:
    lines = log.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("! "):
            if "not found" in line:
                return f"{line[2:]} {INSTALL.rpartition('; ')[2]}"
            return " ".join(lines[number : number + 3])[2:200]
    return lines[-1][:200] if lines else "no message"
