"""The command `show`: prints a built-in file, to read or to copy. Returns the exit code."""

from __future__ import annotations

import argparse
import sys


def add(one) -> None:
    """Put the command into the parser."""
    words = one("show", show, "print a config file, a sweep file or the prompt template: to read, or to copy with >")
    words.add_argument("word", metavar="GROUP=NAME", help="such as algo=grpo, +sweep=fair or data.template")


def show(asked: argparse.Namespace) -> int:
    """Print the file; where it lies goes to standard error, so that the rest can be copied."""
    from gapo_lab.config import choices

    path = choices.of(asked.word)
    print(path, file=sys.stderr)
    print(path.read_text(encoding="utf-8"), end="")
    return 0
