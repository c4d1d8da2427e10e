"""A report on the runs of a study: the paper's tables and figures, with statistics."""

from __future__ import annotations


def main(words: list[str] | None = None) -> int:
    """Run `python -m analysis.report`; return its exit code."""
    from analysis.report.command import main as run

    return run(words)
