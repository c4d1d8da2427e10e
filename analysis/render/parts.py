"""What of a table fits on a page of a paper, and in which type: nothing is scaled, for journals forbid that. Pure.

How wide a column will be is estimated from its letters, on the wide side, as Computer Modern has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from analysis.tables.table import Entry, Line, Table

Header = tuple[tuple[tuple[str, int], ...], ...]
Blocks = tuple[tuple[Line, ...], ...]
LINES = 44  # of one page; a larger table is cut into parts
WIDTH = 455.0  # points: both columns of the narrowest of the usual two-column papers, ACL's 16 cm


@dataclass(frozen=True)
class Type:
    """A size of type, and the space at either side of a column, in points."""

    name: str
    size: float
    space: float

    def width(self, columns: Sequence[float]) -> float:
        """Return how wide a table is. columns: the widths of the names of its rows and of its columns, in ems."""
        return self.size * sum(columns) + 2 * self.space * (len(columns) - 1) + 14  # 1.2em after the last


# The largest that fits is taken; what does not fit in the last is cut into parts.
TYPES = (Type("small", 9, 7), Type("small", 9, 4), Type("footnotesize", 8, 3))


@dataclass(frozen=True)
class Part:
    """What of a table fits on a page. ``notes``: how wide its notes are, as a share of the page."""

    header: Header
    blocks: Blocks
    size: str
    space: float = 0
    notes: float = 1

    @property
    def columns(self) -> int:
        return max((len(line.entries) for block in self.blocks for line in block), default=0)

    @property
    def cmidrules(self) -> list[str]:
        """Under each level of the head: a rule below every head that spans columns."""
        out = []
        for level in self.header:
            at, rules = 2, ""
            for text, span in level:
                if span > 1 and text:
                    rules += rf"\cmidrule(lr){{{at}-{at + span - 1}}}"
                at += span
            out.append(rules)
        return out


def parts(one: Table) -> list[Part]:
    """Return the parts of a table, page by page: columns that do not fit side by side come below."""
    widths = _widths(one)
    cuts = _cuts(widths)
    rows = [widths[0], *max((widths[start + 1 : end + 1] for start, end in cuts), key=sum)]
    size = next((type_ for type_ in TYPES if type_.width(rows) <= WIDTH), TYPES[-1])
    notes = round(min(1.0, max(0.55, size.width(rows) / WIDTH)), 2)
    return [
        Part(tuple(tuple(_cut(level, start, end)) for level in one.header), blocks, size.name, size.space, notes)
        for start, end in cuts
        for blocks in _down(_columns(one.blocks, start, end))
    ]


def _columns(blocks: Blocks, start: int, end: int) -> Blocks:
    return tuple(tuple(replace(line, entries=line.entries[start:end]) for line in block) for block in blocks)


def _cuts(widths: Sequence[float]) -> list[tuple[int, int]]:
    """Return (first, last + 1) of the columns of each part: as many as fit in the smallest type, at least one."""
    out, start = [], 0
    while start < max(1, len(widths) - 1):
        end = start + 1
        while end < len(widths) - 1 and TYPES[-1].width([widths[0], *widths[start + 1 : end + 2]]) <= WIDTH:
            end += 1
        out.append((start, end))
        start = end
    return out


def _widths(one: Table) -> list[float]:
    """Return the widths of the names of rows and of each column, in ems; a head widens the first of its columns."""
    first = max(map(_ems, (*one.stub, *(line.label for line in one.lines))), default=0)
    first += 1.0 * any(line.kind == "delta" for line in one.lines)
    out = [first]
    for place in range(one.width):
        entries = [line.entries[place] for line in one.lines if place < len(line.entries)]
        out.append(max(map(_entry, entries), default=0))
    for level in one.header:
        at = 1
        for text, span in level:
            out[at] += max(0, _ems(text) - sum(out[at : at + span]))
            at += span
    return out


def _entry(one: Entry) -> float:
    bold = 1.12 if one.rank == 1 else 1.0
    return bold * _ems(one.text) + (0.8 * _ems(f"± {one.spread}") if one.spread else 0)


def _ems(text: str) -> float:
    return sum(_em(char) for char in text)


def _em(char: str) -> float:
    """Return the width of a letter at 8 points, where letters are widest for their size."""
    if char in " .,:;ijl!|'[]":
        return 0.31
    if char in "()frst/":
        return 0.42
    if char.isupper() or char in "mw+-−±=<>%":
        return 0.8
    return 0.53


def _cut(level: Sequence[tuple[str, int]], start: int, end: int) -> Iterator[tuple[str, int]]:
    """Yield the heads of the columns from ``start`` to ``end``."""
    at = 0
    for text, span in level:
        if (inside := min(at + span, end) - max(at, start)) > 0:
            yield text, inside
        at += span


def _down(blocks: Blocks) -> list[Blocks]:
    """Return the lines of one page after the other."""
    parts: list[list[tuple[Line, ...]]] = [[]]
    room = LINES
    for block in blocks:
        while block:
            if room <= 0:
                parts.append([])
                room = LINES
            parts[-1].append(block[:room])
            block, room = block[room:], room - len(block[:room])
    return [tuple(part) for part in parts]
