"""What was read of one run: its parts, each taken as long as the files that it was read from are as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gapo_lab.runs import file_signature
from gapo_lab.runs.file_signature import Signature

# A plain value, and the files of the run folder that it was read from with their signatures, as JSON gives them back.
Part = list[Any]
UNKNOWN = object()  # None is a value


class RunParts:
    """The parts of the run in folder ``at``, by name. `look` begins a new moment; until then each file is looked at
    once.

    parts: those of earlier commands. settled: whether a file has been left alone so long that its signature speaks for
    its content.
    """

    __slots__ = ("_once", "_settled", "_signatures", "_valid", "at", "new", "parts")

    def __init__(self, at: str, parts: dict[str, Part], settled: Callable[[Signature], bool]) -> None:
        self.at, self.parts, self._settled = at, parts, settled
        self.new = 0  # parts that were read here
        self.look()

    def look(self) -> None:
        """Look at all files anew from now on."""
        self._signatures: dict[str, Signature | None] = {}
        self._once: dict[str, Any] = {}
        # values of parts that are known to be those of the files of this moment
        self._valid: dict[str, Any] = {}

    def signature(self, file: str) -> Signature | None:
        """Return the signature of a file, as of this moment; None where nobody can say."""
        if file not in self._signatures:
            try:
                self._signatures[file] = file_signature.of(f"{self.at}/{file}")
            except OSError:
                self._signatures[file] = None
        return self._signatures[file]

    def kept(self, name: str) -> Any:
        """Return the value of part ``name`` where it was read before and its files have not changed; else UNKNOWN."""
        if name in self._valid:
            return self._valid[name]
        if name not in self.parts:
            return UNKNOWN
        value, seen = self.parts[name]
        for file, before in seen:  # `all` takes twice as long, three times for each of ten thousand runs
            if self.signature(file) != before:
                return UNKNOWN
        self._valid[name] = value
        return value

    def once(self, name: str, read: Callable[[], Any]) -> Any:
        """Return what ``read`` gives, read once in this moment and not kept."""
        if name not in self._once:
            self._once[name] = read()
        return self._once[name]

    def part(self, name: str, files: Callable[[], Iterable[str]], read: Callable[[], Any]) -> Any:
        """Return the value of part ``name``.

        files: the files it is read from, a folder before what is listed in it. read: reads it; what it raises is not
        kept.
        """
        if (known := self.kept(name)) is not UNKNOWN:
            return known
        # before it is read: what changes meanwhile has another signature the next time
        seen: list[list[Any]] = [[file, self.signature(file)] for file in files()]
        value = read()
        if all(one is not None and self._settled(one) for _, one in seen):
            self.parts[name] = [value, seen]
            self._valid[name] = value
            self.new += 1
        else:
            self.parts.pop(name, None)
        return value
