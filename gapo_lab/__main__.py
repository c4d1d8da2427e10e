"""``gapo-lab`` and ``python -m gapo_lab``: start, see, follow, copy and compare runs."""

from __future__ import annotations

import sys
from importlib import import_module

from gapo_lab.cli.runs import main as command

# Programs with a parser of their own: the same as `python -m MODULE`. By name, because gapo_lab imports nothing of
# analysis.
PROGRAMS = {
    "run": "gapo_lab.run",
    "data": "gapo_lab.cli.data",
    "report": "analysis.report.command",
    "page": "analysis.page",
    "probe": "analysis.probe.command",
    "replay": "analysis.replay.command",
    "check": "analysis.check",
}


def main(words: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = sys.argv[1:] if words is None else words
    if not words or words[0] not in PROGRAMS:
        return command(words)
    program = import_module(PROGRAMS[words[0]])
    sys.argv = [f"gapo-lab {words[0]}", *words[1:]]  # Hydra reads them there
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
