"""What two sets of tasks have in common: near-duplicates across splits, and truths that stand in training code."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import numpy as np
from datasketch import MinHash, MinHashLSH

from gapo_lab.data.tasks.task import Task

ALIKE = 0.8  # Jaccard similarity of two tasks' word triples, from which on they are near-duplicates
_NUMBERS = 64
_WORD = re.compile(r"\w+|[^\w\s]")


@cache
def _empty() -> MinHash:
    return MinHash(_NUMBERS, hashfunc=zlib.crc32)


def signature(task: Task) -> bytes:
    """What `Near` compares: 64 numbers of 4 bytes over the triples of words in region and truth."""
    words = _WORD.findall(f"{task.region} {task.truth}")
    triples = set(map(" ".join, zip(words, words[1:], words[2:], strict=False))) or {" ".join(words)}
    sketch = _empty().copy()
    sketch.update_batch([triple.encode() for triple in sorted(triples)])
    return np.asarray(sketch.hashvalues, np.uint32).tobytes()


def _sketch(signed: bytes) -> MinHash:
    sketch = _empty().copy()
    sketch.hashvalues = np.frombuffer(signed, np.uint32).astype(sketch.hashvalues.dtype)
    return sketch


class Near:
    """Answers whether a task is nearly one of a set. Similarities are estimates: 64 numbers give about +-0.05."""

    def __init__(self, signatures: Iterable[bytes]):
        self._sketches = dict(enumerate(map(_sketch, signatures)))
        self._index = MinHashLSH(threshold=ALIKE, num_perm=_NUMBERS)
        for number, sketch in self._sketches.items():
            self._index.insert(number, sketch, check_duplication=False)

    def has(self, signed: bytes) -> bool:
        """Whether a task with this signature is at least ALIKE one of the set's."""
        sketch = _sketch(signed)
        return any(self._sketches[one].jaccard(sketch) >= ALIKE for one in self._index.query(sketch))


class Leaks:
    """Finds truths that stand verbatim in a text. Texts come one by one; `found` holds the numbers of those seen."""

    def __init__(self, truths: Iterable[str]):
        self.found: set[int] = set()
        self._truths = dict(enumerate(truths))
        # A truth in a text has its inner lines there as whole lines: its longest one says where to look closer.
        self._by_line: dict[str, list[int]] = defaultdict(list)
        self._everywhere: list[int] = []
        for number, truth in self._truths.items():
            if inner := max(truth.split("\n")[1:-1], key=len, default=""):
                self._by_line[inner].append(number)
            else:
                self._everywhere.append(number)

    def look_in(self, text: str) -> None:
        """Note which truths stand in `text`."""
        for line in self._by_line.keys() & set(text.split("\n")):
            self._note(self._by_line[line], text)
        self._note(self._everywhere, text)

    def _note(self, numbers: Iterable[int], text: str) -> None:
        self.found.update(one for one in numbers if one not in self.found and self._truths[one] in text)
