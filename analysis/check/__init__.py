"""Published tables checked: their arithmetic, and what in them stands out from noise."""

from __future__ import annotations

from analysis.check.misprints import Misprint as Misprint
from analysis.check.misprints import check as check
from analysis.check.misprints import check_together as check_together
from analysis.check.misprints import possible as possible


def main(words: list[str] | None = None) -> int:
    """Run `python -m analysis.check`; return its exit code."""
    from analysis.check.command import main as run

    return run(words)
