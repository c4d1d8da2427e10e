"""Sentences on a terminal: broken at spaces, with a hanging indent. A command is never broken, nor a path or an
address, so that they can be copied; elsewhere than on a terminal a sentence stays one line, so that it can be found.
"""

from __future__ import annotations

import re
import shutil
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

INDENT = 4
# How a command begins, and a word of it that is no word of a sentence.
_BEGINS = (re.compile(r"\S*python[\d.]* -m \S+(?: [a-z]+\b)?"), re.compile(r"(?:hf|pip|make) [a-z]\S*"))
_ARGUMENT = re.compile(r" (?=\S*[=/.\-A-Z\d])\S+")
_WORD = re.compile(r"\S+")
# The end of a word that is a command's last.
_END = re.compile(r"(?:[,;:)]|(?<!\.)\.)$")


def breaks(text: str, width: int, indent: int = INDENT) -> list[int]:
    """Return where the lines after the first begin, of a text of one line that may be ``width`` wide."""
    out: list[int] = []
    left = 0  # what the column of a character is counted from
    position = 0
    while found := _next(text, position):
        start, end = found
        if end - left > width and start > left + (indent if out else 0) and text[:start].strip():
            out.append(start)
            left = start - indent
        position = end
    return out


def _next(text: str, position: int) -> tuple[int, int] | None:
    """Return where the next piece that must not be broken begins and ends."""
    word = _WORD.search(text, position)
    if not word:
        return None
    start, end = word.span()
    command = next((found for begins in _BEGINS if (found := begins.match(text, start))), None)
    if command is None:
        return start, end
    is_option = False
    for found in _WORD.finditer(text, start):
        if found.start() >= command.end() and not (is_option or _ARGUMENT.match(text, found.start() - 1)):
            break
        end, is_option = found.end(), found[0].startswith("-")
        if _END.search(found[0]):
            break
    return start, end


def wrapped(text: str, width: int, indent: int = INDENT) -> str:
    """Return the lines of a text, each broken where it is wider than ``width``."""
    return "\n".join(_one(line, width, indent) for line in text.split("\n"))


def _one(line: str, width: int, indent: int) -> str:
    own = indent + len(line) - len(line.lstrip())
    starts = [0, *breaks(line, width, own), len(line)]
    return f"\n{' ' * own}".join(line[one:two].rstrip() for one, two in pairwise(starts))


def say(console: Console, text: str, markup: bool = True, indent: int = INDENT) -> None:
    """Print sentences, a line each. markup: whether `[yellow]` is a colour."""
    from rich.text import Text

    for line in text.split("\n"):
        found = Text.from_markup(line, emoji=False) if markup else Text(line)
        for part in _parts(found, console.width, indent) if console.is_terminal else [found]:
            console.print(part, highlight=False, soft_wrap=True)


def _parts(line: Text, width: int, indent: int) -> list[Text]:
    own = indent + len(line.plain) - len(line.plain.lstrip())
    first, *rest = line.divide(breaks(line.plain, width, own))
    for part in (first, *rest):
        part.rstrip()
    for part in rest:
        part.pad_left(own)
    return [first, *rest]


def tell(text: str, file: TextIO | None = None) -> None:
    """Print sentences, without rich, which takes a while to import. file: None is standard output."""
    out = file or sys.stdout
    print(wrapped(text, shutil.get_terminal_size().columns) if out.isatty() else text, file=out, flush=True)
