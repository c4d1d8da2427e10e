"""Tables as CSV and as text for a terminal. Pure."""

from __future__ import annotations

import csv
import io

from analysis.table import Entry, Table, rows_of


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
    return out.getvalue()


def to_text(table: Table, width: int = 120) -> str:
    """For a terminal: columns in line, ``*`` after the best; wider tables go on below in parts."""
    rows = rows_of(table, _starred)
    stub = max(len(row[0]) for row in rows)
    sizes = [max(len(row[i]) for row in rows) for i in range(1, table.width + 1)]
    parts, start = [], 0
    while start < table.width:
        end, used = start, stub
        while end < table.width and (end == start or used + sizes[end] + 2 <= width):
            used += sizes[end] + 2
            end += 1
        parts.append((start, end))
        start = end
    out = [table.title]
    for start, end in parts:
        out.append("")
        for row in rows:
            cells = (
                row[1 + i].ljust(sizes[i]) if table.ragged else row[1 + i].rjust(sizes[i])
                for i in range(start, end)
            )
            out.append("  ".join([row[0].ljust(stub), *cells]).rstrip())
    out += [f"{mark} {text}" for mark, text in table.notes]
    return "\n".join(out)


def _words(entry: Entry) -> str:
    spread = f" ± {entry.spread}" if entry.spread else ""
    return f"{entry.text}{spread}{''.join(f'[{mark}]' for mark in entry.marks)}"


def _starred(entry: Entry) -> str:
    star = {1: "*", 2: ""}.get(entry.rank, "")
    spread = f" ± {entry.spread}" if entry.spread else ""
    return f"{entry.text}{spread}{star}{'' if not entry.marks else ' ' + ''.join(entry.marks)}"
