"""How a note begins where it stands as a sentence. Pure."""

from __future__ import annotations

import re

# A word of a sentence, and no name, key or symbol.
_WORD = re.compile(r"[A-Za-z]{2,}[,:;]?|[Aa]")


def sentence(text: str) -> str:
    """Begin a text with a capital letter, unless its first word is a name: `val/id/em`, `p corr.`."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if _WORD.fullmatch(first) else text
