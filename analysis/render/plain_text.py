"""Tables as CSV and as text for a terminal. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from analysis.tables.table import BOLD, Entry, Table, rows_of


def to_csv(table: Table) -> str:
    """Header levels, then a row a line; cells as printed, with unrounded values in a second block of columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    levels = len(table.header)
    for number, row in enumerate(rows_of(table, _words)):
        exact = [""] * table.width
        if number >= levels:
            line = table.lines[number - levels]
            exact = ["" if e.value is None else repr(float(e.value)) for e in line.entries]
        else:
            exact = [f"{text} (unrounded)" for text in row[1:]]
        writer.writerow([*row, *([] if table.ragged else exact)])
    for mark, text in table.notes:
        writer.writerow([f"# {mark}: {text}"])
    if table.notice:
        writer.writerow([f"# {table.notice}"])
    return out.getvalue()


def to_text(table: Table, width: int = 120) -> str:
    """For a terminal: columns in line, ``*`` after the best; wider tables go on below in parts."""
    rows = rows_of(table, lambda entry: entry.text)
    head = len(rows) - len(table.lines)
    after = [[""] * table.width] * head + [[_after(e) for e in line.entries] for line in table.lines]
    stub = max(len(row[0]) for row in rows)
    columns = [
        _column(table, [row[i + 1] for row in rows], [marks[i] for marks in after], head) for i in range(table.width)
    ]
    out, start = [table.caption], 0
    while start < table.width:
        end, used = start, stub
        while end < table.width and (end == start or used + len(columns[end][0]) + 2 <= width):
            used += len(columns[end][0]) + 2
            end += 1
        out.append("")
        for number, row in enumerate(rows):
            cells = [column[number] for column in columns[start:end]]
            out.append("  ".join([row[0].ljust(stub), *cells]).rstrip())
        start = end
    if any(entry.rank == 1 for line in table.lines for entry in line.entries):
        out.append("* best of its column")
    # nothing is bold here
    out += [f"{mark}: {text}" if mark else text for mark, text in table.notes if not text.startswith(BOLD)]
    return "\n".join(out)


def _column(table: Table, texts: Sequence[str], after: Sequence[str], head: int) -> list[str]:
    """Return the cells of a column, equally wide: digits stand below digits, and what follows them behind."""
    if table.ragged:
        words = [text + mark for text, mark in zip(texts, after, strict=True)]
        return [text.ljust(max(map(len, words))) for text in words]
    behind = max(map(len, after))
    size = max(len(text) - behind * (row < head) for row, text in enumerate(texts))
    return [
        text.rjust(size + behind) if row < head else text.rjust(size) + mark.ljust(behind)
        for row, (text, mark) in enumerate(zip(texts, after, strict=True))
    ]


def _words(entry: Entry) -> str:
    spread = f" ± {entry.spread}" if entry.spread else ""
    return f"{entry.text}{spread}{''.join(f'[{mark}]' for mark in entry.marks)}"


def _after(entry: Entry) -> str:
    spread = f" ± {entry.spread}" if entry.spread else ""
    return f"{spread}{'*' if entry.rank == 1 else ''}{'' if not entry.marks else ' ' + ''.join(entry.marks)}"
