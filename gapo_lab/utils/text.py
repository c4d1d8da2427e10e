"""Numbers as people read them."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    return "nan" if math.isnan(share) else f"{100 * share:.1f}%"


def points(change: float) -> str:
    return "nan" if math.isnan(change) else f"{100 * change:+.1f} pts"


def duration(seconds: float) -> str:
    """``75`` -> ``1:15``; hours only where there are some."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def several(count: int, noun: str) -> str:
    """``1 run``, ``1,080 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
