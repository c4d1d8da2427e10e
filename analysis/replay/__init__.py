"""What methods make of recorded or simulated rewards, without training."""

from __future__ import annotations


def main(words: list[str] | None = None) -> int:
    """Run `python -m analysis.replay`; return its exit code."""
    from analysis.replay.command import main as run

    return run(words)
