"""One simple command of a shell script, its words expanded as far as that can be without running it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Around the number of a hole in a word; never part of a script itself.
MARK = "\0"


@dataclass
class Command:
    """words: expanded. line: where it begins, from 1. said: of each hole, `line 3: $(date)`."""

    words: list[str]
    line: int
    said: list[str] = field(default_factory=list)

    def holes(self, word: str) -> list[str]:
        """Return what of a word of this command could not be expanded."""
        return [self.said[int(number)] for number in re.findall(f"{MARK}(\\d+){MARK}", word)]

    def shown(self, word: str) -> str:
        """Return the word, as a person may read it."""
        return re.sub(f"{MARK}(\\d+){MARK}", lambda hole: self.said[int(hole[1])].partition(": ")[2], word)
