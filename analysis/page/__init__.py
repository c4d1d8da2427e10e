"""The parts of a page that are made from an archive of runs: `python -m analysis.page`."""

from __future__ import annotations


def main(words: list[str] | None = None) -> int:
    """Run `python -m analysis.page`; return its exit code."""
    from analysis.page.command import main as run

    return run(words)
