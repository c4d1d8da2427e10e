"""What this machine has, asked without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU; empty where there is none (or nvidia-smi fails)."""
    try:
        text = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA GPU, asked without importing torch."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
