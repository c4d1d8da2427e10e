"""Put made parts into a page that is otherwise written by hand. Pure.

A part stands between two comments, `<!-- made: NAME -->` and `<!-- end of NAME -->`; all else of the page stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gapo_lab.errors import UserError
from gapo_lab.utils.key_names import did_you_mean

_PART = re.compile(r"<!-- made: (?P<name>\S+) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)
_BEGIN = re.compile(r"<!-- made: (\S+) -->")


def fill(page: str, parts: Mapping[str, str]) -> str:
    """Return the page with these parts in their places. UserError for a place without a part or without an end."""
    begun = _BEGIN.findall(page)
    closed = [found["name"] for found in _PART.finditer(page)]
    if open_ones := [name for name in begun if name not in closed]:
        raise UserError(f"part {open_ones[0]} has no end. Write <!-- end of {open_ones[0]} --> below it")
    for name in closed:
        if name not in parts:
            said = did_you_mean(name, parts) or f"there are: {', '.join(parts)}"
            raise UserError(f"no part {name}: {said}")
    return _PART.sub(lambda found: _put(found["name"], parts[found["name"]]), page)


def _put(name: str, text: str) -> str:
    return f"<!-- made: {name} -->\n{text.strip()}\n<!-- end of {name} -->"
