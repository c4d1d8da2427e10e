"""An override among the arguments of a command that takes none, and what to write in its place. Pure."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

_OVERRIDE = re.compile(r"[+~]*(?P<key>[A-Za-z_][\w.@/-]*)=(?P<value>.*)", re.DOTALL)
# An override and an option that mean the same, where they have other names.
SAME = {"run_root": ("root", "runs")}
# How a command calls the argument that means runs, and which overrides a person gives in its place.
NAMES_RUNS, MEANS_RUNS = ("study", "studies", "run"), ("study", "key")


def remedy(
    parser: argparse.ArgumentParser, command: argparse.ArgumentParser, asked: argparse.Namespace, left: Iterable[str]
) -> str:
    """Return what to write in place of the first override that the command does not take; '' where there is none.

    parser: of the whole program; command: of the one that was given. left: the arguments that were no one's.
    """
    arguments = [action for action in command._actions if not action.option_strings]
    if any("=" in str(action.metavar) for action in arguments):
        return ""
    for word in (*_given(arguments, asked), *left):
        found = _OVERRIDE.fullmatch(word)
        if found and not Path(word).exists():
            wrong = f"{word}: an override, and {command.prog.rpartition(' ')[2]} takes none"
            return f"{wrong}. {_instead(parser, command, found['key'], found['value'])}"
    return ""


def _given(arguments: Iterable[argparse.Action], asked: argparse.Namespace) -> Iterator[str]:
    for action in arguments:
        value = getattr(asked, action.dest, None)
        yield from map(str, value if isinstance(value, list) else [value])


def _instead(parser: argparse.ArgumentParser, command: argparse.ArgumentParser, key: str, value: str) -> str:
    value = shlex.quote(value.strip("'\""))
    names = (key, key.rpartition(".")[2], *SAME.get(key, ()))
    for one in dict.fromkeys((command, parser)):
        for action in one._actions:
            if action.option_strings and action.nargs != 0 and action.dest in names:
                where = " before the command" if one is not command else ""
                return f"Write {max(action.option_strings, key=len)} {value}{where}"
    if key in MEANS_RUNS and any(action.dest in NAMES_RUNS for action in command._actions):
        return f"Write {value}"
    return f"See {command.prog} --help"
