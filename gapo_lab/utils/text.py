"""Numbers, counts and errors as people read them."""

from __future__ import annotations

import math
import re

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def percent(share: float) -> str:
    return "nan" if math.isnan(share) else f"{100 * share:.1f}%"


def points(change: float) -> str:
    """Return a change of a share; a change that rounds to nothing has no sign."""
    return "nan" if math.isnan(change) else f"{signed(100 * change, 1)} pts"


def signed(change: float, places: int) -> str:
    """Return a change with its sign; one that rounds to nothing has none: ``0.0``."""
    text = f"{change:+.{places}f}"
    return text[1:] if not float(text) else text


def duration(seconds: float) -> str:
    """``75`` -> ``1:15``; hours only where there are some."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def roughly(seconds: float) -> str:
    """Return an estimate, no more exact than it is: ``8784`` -> ``~2.4 h``, ``150`` -> ``~2.5 min``."""
    size, unit = next((one for one in ((3600, "h"), (60, "min")) if seconds >= one[0]), (1, "s"))
    return f"~{two_digits(seconds / size)} {unit}"


def span(seconds: float) -> str:
    """Return a time in one unit: `4.5 hours`, `13 minutes`, `15 seconds`."""
    size, unit = next((one for one in ((3600, "hours"), (60, "minutes")) if seconds >= one[0]), (1, "seconds"))
    return f"{number(seconds / size)} {unit}"


def ago(seconds: float) -> str:
    """Return how long ago something was, in one unit: `45 s ago`, `3 min ago`, `2 h ago`, `5 d ago`."""
    size, unit = next((one for one in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= one[0]), (1, "s"))
    return f"{int(seconds / size)} {unit} ago"


def number(value: float) -> str:
    """Two significant digits below 100, whole numbers above: ``2.3``, ``1,250``."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def two_digits(value: float) -> str:
    """Two significant digits: ``2777`` -> ``2,800``, ``11.13`` -> ``11``, ``0.456`` -> ``0.46``."""
    if value == 0:
        return "0"
    places = 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(0, places)}f}"


def file_size(size: float) -> str:
    """Return an amount of bytes with two significant digits: ``180 GB``, ``1.5 TB``, ``2.3 MB``."""
    scale, unit = next((one for one in ((1e12, "TB"), (1e9, "GB")) if size >= one[0]), (1e6, "MB"))
    return f"{two_digits(size / scale)} {unit}"


def several(count: int, noun: str) -> str:
    """``1 run``, ``1,080 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def without_colours(text: str) -> str:
    """Return a text without the codes that colour it on a terminal."""
    return _COLOURS.sub("", text)


def first_line(error: BaseException, limit: int = 150) -> str:
    """Return the first line that an error says, cut to ``limit`` characters; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:limit] if lines else type(error).__name__


def type_and_line(error: BaseException, limit: int = 200) -> str:
    """Return an error in one line: ``OSError: no space left``."""
    kind, said = type(error).__name__, first_line(error, limit)
    return kind if said == kind else f"{kind}: {said}"


def in_quotes(text: str) -> str:
    """Return ``text`` as the quoted value of an override: Hydra reads it as it is, whatever is in it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
