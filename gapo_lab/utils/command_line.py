"""What the commands of `python -m gapo_lab` and `python -m gapo_lab.data` share: how a word is added, how one ends."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from gapo_lab.errors import RunFailed, UserError
from gapo_lab.utils import misplaced_override
from gapo_lab.utils.prose import tell

Command = Callable[[argparse.Namespace], int]


def adder(parser: argparse.ArgumentParser) -> Callable[[str, Command, str], argparse.ArgumentParser]:
    """Return what adds a command to `parser`: its word, its function, its help -> its own parser."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command, parser=added)
        return added

    return add


def parse(parser: argparse.ArgumentParser, words: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed arguments. UserError for an override that the command does not take, with what to write."""
    asked, left = parser.parse_known_args(words)
    if wrong := misplaced_override.remedy(parser, getattr(asked, "parser", parser), asked, left):
        raise UserError(wrong)
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return asked


def script(main: Callable[[], None]) -> int:
    """Run a program without commands; its exit code, and one line for a user's mistake."""
    try:
        main()
        return 0
    except UserError as error:
        tell(str(error), sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(parser: argparse.ArgumentParser, words: list[str] | None, stopped: str = "") -> int:
    """Run one command: exit code 0, 1 when something failed, 2 for a user's mistake, 130 for Ctrl-C.

    `stopped` is said after a Ctrl-C.
    """
    name = parser.prog.removeprefix("python -m ")
    try:
        asked = parse(parser, words)
        return asked.command(asked)
    except UserError as error:
        tell(f"{name}: {error}", sys.stderr)
        return 2
    except RunFailed as error:
        tell(f"{name}: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        if stopped:
            print(stopped, file=sys.stderr)
        return 130
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
