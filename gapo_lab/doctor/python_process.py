"""Try a line of Python in a process of its own, so that a crash of what it loads ends nothing else."""

from __future__ import annotations

import subprocess
import sys


def python_error(line: str, seconds: float) -> str | None:
    """Run ``line``: the last line of what Python says when it fails, None where it works."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", line], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return f"not within {seconds:g} s"
    if done.returncode == 0:
        return None
    lines = [text.strip() for text in done.stderr.splitlines() if text.strip()]
    return lines[-1][:200] if lines else f"exit code {done.returncode}"
