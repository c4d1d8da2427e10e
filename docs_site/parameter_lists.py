"""Docstrings as Markdown: lines `name: text` about parameters become a list."""

from __future__ import annotations

import re


def listed(text: str, names: set[str]) -> str:
    """Return the docstring with an item for each line that begins with one of `names` and a colon."""
    out: list[str] = []
    inside = False
    for line in text.splitlines():
        found = re.match(r"(\w+): ", line)
        if found and found[1] in names:
            out += ["", f"- `{found[1]}`: {line[found.end() :]}"]
            inside = True
        elif inside and line and line[0].isupper() and out[-1].endswith("."):
            out += ["", line]
            inside = False
        else:
            out.append(f"  {line}" if inside and line else line)
            inside = inside and bool(line)
    return "\n".join(out)
