"""What the job of a run prints beside the run's own log: SLURM's words, and those of a job that dies before its run
starts."""

from __future__ import annotations

from pathlib import Path

from gapo_lab.launch.submission import FOLDER
from gapo_lab.runs.status import RunStatus
from gapo_lab.utils.text import without_colours

BYTES, LINES = 4096, 6


def path(root: Path, key: str, status: RunStatus) -> Path | None:
    """Return the file that the job of a run writes; None where nobody knows of a job."""
    if not status.submission:
        return None
    folder = Path(root) / FOLDER / status.submission
    return folder / (f"{status.job}_0_log.out" if status.job else f"{key}.log")


def last_lines(root: Path, key: str, status: RunStatus, most: int = LINES) -> list[str]:
    """Return the last lines that the job of a run has printed."""
    file_path = path(root, key, status)
    try:
        if file_path is None:
            return []
        with open(file_path, "rb") as file:
            file.seek(max(0, file_path.stat().st_size - BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in without_colours(text).splitlines() if line.strip()][-most:]
