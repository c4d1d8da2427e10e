"""The reference of commands: what each `--help` says, as a page of Markdown."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator

HEAD = """# Commands

Made from each command's own `--help`. Installed as a package, `python -m gapo_lab COMMAND` is also `gapo-lab COMMAND`,
and `python -m gapo_lab.run` is `gapo-lab run`. The exit code is 0; 1 where something failed; 2 for a mistake in what
was asked; 130 after Ctrl-C.
"""


def page() -> str:
    """Return the page: one section for each program, one below it for each of its commands."""
    return "\n".join([HEAD, *_run(), *(line for one in parsers() for line in _program(one))])


def parsers() -> list[argparse.ArgumentParser]:
    """Return the parser of every program that has one; `gapo_lab.run` has Hydra's."""
    from analysis.check.command import parser as check
    from analysis.page.command import parser as page_parser
    from analysis.probe.command import parser as probe
    from analysis.replay.command import parser as replay
    from analysis.report.command import parser as report
    from gapo_lab.cli.data import parser as data
    from gapo_lab.cli.runs import parser as runs

    return [make() for make in (runs, data, report, page_parser, probe, replay, check)]


def _run() -> Iterator[str]:
    words = [sys.executable, "-m", "gapo_lab.run", "--help"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    yield from ("## python -m gapo_lab.run", "", "```text", text.rstrip(), "```", "")


def _program(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from _section(parser, "##")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _section(one, "###")


def _section(parser: argparse.ArgumentParser, level: str) -> Iterator[str]:
    yield from (f"{level} {parser.prog}", "")
    if parser.description:
        yield from (_sentence(parser.description), "")
    yield from ("```text", _usage(parser), "```", "")
    for action in parser._actions:
        if action.help and not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            yield f"- `{_spelling(parser, action)}`: {action.help % vars(action)}"
    yield ""
    if parser.epilog:
        yield from ("```text", parser.epilog.strip(), "```", "")


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage in lines of 80 characters, whatever the terminal is that builds the site."""
    made = argparse.HelpFormatter(parser.prog, width=80)
    made.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    return made.format_help().strip()


def _spelling(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._format_action_invocation(action)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[0].upper() + text[1:] + ("" if text.endswith((".", ":", "!")) else ".")
