"""A table as it is printed, whatever it is printed as: .tex, .html, .csv and pictures are drawn from this."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

DASH = "–"
ZERO = "°"  # marks a difference whose interval holds zero
OPEN = "†"  # marks one whose interval does not, but which no claim decides

BOLD = "Bold: the highest mean of its column; underlined: the second highest. Neither says that they differ"
UNRANKED = ". A number with a letter is neither"
# A name with the paper's number: `table2`, `figure3_grpo`.
_NUMBERED = re.compile(r"(?:table|figure)(S?\d+)(_grpo)?")


@dataclass(frozen=True)
class Entry:
    """One printed cell. ``value`` is unrounded, in the unit printed; ``spread`` follows a plus-minus sign."""

    text: str = ""
    value: float | None = None
    spread: str = ""
    rank: int = 0  # 1: best of its column, 2: second
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A row. ``kind``: value, delta (smaller, indented), or other."""

    label: str
    entries: tuple[Entry, ...]
    kind: str = "value"


@dataclass(frozen=True)
class Table:
    """``header``: levels of (text, columns it spans); ``blocks``: lines between two rules."""

    name: str
    title: str
    stub: tuple[str, ...]
    header: tuple[tuple[tuple[str, int], ...], ...]
    blocks: tuple[tuple[Line, ...], ...]
    notes: tuple[tuple[str, str], ...] = ()
    source: tuple[str, ...] = ()  # what stands in the comment at the head of the .tex file
    ragged: bool = field(default=False)  # columns hold words, set flush left
    records: bool = False  # each column is of another kind, so a line can be read alone: a narrow page stacks it
    notice: str = ""  # what must be said wherever the table is shown

    @property
    def caption(self) -> str:
        return f"{self.notice}: {self.title}" if self.notice else self.title

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for block in self.blocks for line in block)

    @cached_property
    def width(self) -> int:
        return max((len(line.entries) for line in self.lines), default=0)


def numbers(names: Sequence[str], is_papers: bool) -> dict[str, str]:
    """{name: number} of tables or of figures.

    is_papers: theirs are the paper's, and S1, S2, ... of what it does not have. Otherwise they are numbered in order.
    """
    if not is_papers:
        return {name: str(place) for place, name in enumerate(names, 1)}
    found = [(name, match) for name in names if (match := _NUMBERED.fullmatch(name))]
    out = {name: f"{match[1]} (G)" if match[2] else match[1] for name, match in found}
    free = (text for place in count(1) if (text := f"S{place}") not in out.values())
    return {name: out.get(name) or next(free) for name in names}


def heads(table: Table) -> list[str]:
    """Return the head of each column in one line: `nano 0.6M`."""
    levels = [[text for text, span in level for _ in range(span)] for level in table.header]
    return [" ".join(dict.fromkeys(word for word in column if word)) for column in zip(*levels, strict=True)]


class Notes:
    """The footnotes of a table: the same text has the same letter."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._fixed: dict[str, str] = {}
        self._plain: list[str] = []

    def letter(self, text: str) -> str:
        number = len(self._letters)
        letter = chr(ord("a") + number % 26) * (1 + number // 26)
        return self._letters.setdefault(text, letter)

    def fixed(self, mark: str, text: str) -> str:
        self._fixed[mark] = text
        return mark

    def plain(self, text: str) -> None:
        """Add a note that no cell points to."""
        if text not in self._plain:
            self._plain.append(text)

    def all(self) -> tuple[tuple[str, str], ...]:
        return (
            *((letter, text) for text, letter in self._letters.items()),
            *self._fixed.items(),
            *(("", text) for text in self._plain),
        )


def ranked(lines: Sequence[Line]) -> list[Line]:
    """Mark the best and the second of each column among the ``value`` lines, by unrounded value.

    A cell with a footnote (trials are missing, or untrained) is never called best.
    """
    width = max((len(line.entries) for line in lines), default=0)
    columns = []
    for index in range(width):
        found = (_ranked_value(line.entries[index]) for line in lines if line.kind == "value")
        values = {value for value in found if value is not None and math.isfinite(value)}
        columns.append(sorted(values, reverse=True)[:2])
    return [
        Line(line.label, tuple(_with_rank(e, columns[i]) for i, e in enumerate(line.entries)), line.kind)
        if line.kind == "value"
        else line
        for line in lines
    ]


def _ranked_value(entry: Entry) -> float | None:
    """Return the value by which a cell is ranked; None for a cell that is not."""
    return None if entry.value is None or entry.marks else round(entry.value, 12)


def _with_rank(entry: Entry, best: Sequence[float]) -> Entry:
    value = _ranked_value(entry)
    if value is None or len(best) < 2:  # nothing to be better than
        return entry
    rank = best.index(value) + 1 if value in best else 0
    return Entry(entry.text, entry.value, entry.spread, rank, entry.marks)


def spans(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Neighbours with the same text, joined: (text, columns)."""
    out: list[tuple[str, int]] = []
    for text in texts:
        if out and out[-1][0] == text:
            out[-1] = (text, out[-1][1] + 1)
        else:
            out.append((text, 1))
    return tuple(out)


def rows_of(table: Table, show: Callable[[Entry], str]) -> list[list[str]]:
    """Return the table as rows of words, header first, with spanned heads repeated: what CSV takes."""
    levels = [[text for text, span in level for _ in range(span)] for level in table.header]
    out = [[stub, *level] for stub, level in zip(table.stub, levels, strict=True)]
    return out + [[line.label, *map(show, line.entries)] for line in table.lines]
