"""What was read of the runs of one run root, kept from one command to the next in `runs/.cache/runs.json`.

A *part* of a run is a plain value (its spec, its status) and the signatures of the files that it was read from. It
is taken as long as these files have these signatures, and read anew otherwise: the file only saves time. Whoever
deletes it, or writes it at the same time, or is killed in the middle, changes no answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson

from gapo_lab.errors import UserError
from gapo_lab.runs import checkpoints, file_signature, kept_spec, measures, metrics, naming, spec_file
from gapo_lab.runs.file_signature import Signature
from gapo_lab.runs.run_parts import Part, RunParts
from gapo_lab.utils import atomic_files
from gapo_lab.utils.without_gc import without_gc

FOLDER, NAME = ".cache", "runs.json"
# What was kept by other code may mean something else.
READERS: tuple[ModuleType, ...] = (checkpoints, kept_spec, measures, metrics, naming, spec_file)
# The file is written when so many parts were read anew: each of them costs less than writing ten thousand.
WORTH_WRITING, SHARE = 100, 50
STALE_SECONDS = 3600.0  # a file written aside and left so long was left for good

Parts = dict[str, dict[str, Part]]  # by run key and name


class Remembered:
    """The parts of one run root's runs. `look` begins a new moment; until then every file is looked at once."""

    def __init__(self, root: Path, remember: bool = True) -> None:
        self.root, self._remember = Path(root), remember
        self._at = str(root)
        self._folder = self.root / FOLDER
        self._parts: Parts = _read(self._folder / NAME) if remember else {}
        self._runs: dict[str, RunParts] = {}
        self._settling: float | None = None
        self.look()

    def look(self) -> None:
        """Look at all files anew from now on."""
        for run in self._runs.values():
            run.look()
        self._now, self._since = time.time(), time.monotonic()

    def run(self, key: str) -> RunParts:
        """Return the parts of run ``key``."""
        if key not in self._runs:
            self._runs[key] = RunParts(f"{self._at}/{key}", self._parts.get(key) or {}, self._is_settled)
        return self._runs[key]

    def _is_settled(self, one: Signature, now: float | None = None) -> bool:
        if self._settling is None:
            self._settling = file_signature.settling_seconds(self.root)
        return file_signature.changed(one) + self._settling < (self._now if now is None else now)

    def write(self, keys: Iterable[str]) -> None:
        """Keep the parts of these runs for the next command, where enough of them are new. A disk that takes nothing is
        no error."""
        new = sum(run.new for run in self._runs.values())
        if not self._remember or new < WORTH_WRITING:
            return
        known = {**self._parts, **{key: run.parts for key, run in self._runs.items()}}
        if new < sum(map(len, known.values())) // SHARE:
            return
        with contextlib.suppress(UserError, OSError):
            self._folder.mkdir(exist_ok=True)
            self._tidy()
            with atomic_files.replacing(self._folder / NAME) as file:
                # by the clock of the file system, which need not be that of this machine
                began = os.fstat(file.fileno()).st_mtime - (time.monotonic() - self._since) - 1.0
                file.write(_packed(self._kept(known, keys, began)))

    def _kept(self, known: Parts, keys: Iterable[str], began: float) -> Parts:
        until = min(began, self._now)
        return {
            key: {
                name: part
                for name, part in known[key].items()
                if all(self._is_settled(one, until) for _, one in part[1])
            }
            for key in keys
            if known.get(key)
        }

    def _tidy(self) -> None:
        """Remove what writers that were killed have left."""
        for path in self._folder.glob(f".{NAME}.*"):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink(missing_ok=True)


# The file: a line that says by which code it was written and what its content hashes to, then JSON. The science of a
# spec, which the runs of a cell share, stands in it once.


@cache
def _code() -> str:
    """Which code reads the parts: a digest of its text."""
    texts = [Path(str(module.__file__)).read_bytes() for module in READERS]
    return hashlib.blake2b(b"".join(texts), digest_size=8).hexdigest()


def _packed(parts: Parts) -> bytes:
    """Return the content of the file, without what JSON does not give back as it is: NaN, a date, a long number."""
    body = _body(parts)
    if body is None:
        body = _body({key: {n: p for n, p in mine.items() if _body({key: {n: p}})} for key, mine in parts.items()})
    return _head(body or b"") + (body or b"")


def _body(parts: Parts) -> bytes | None:
    """Return the parts as JSON; None where that would not give them back."""
    places: dict[bytes, int] = {}  # of each science by its text
    shared: dict[int, tuple[int, Any]] = {}  # its place by its id, too, and itself

    def packed(name: str, value: Any) -> Any:
        if name != "spec" or not isinstance(value, dict) or not isinstance(science := value.get("science"), dict):
            return value
        if id(science) not in shared:
            shared[id(science)] = (places.setdefault(orjson.dumps(science), len(places)), science)
        return {**value, "science": shared[id(science)][0]}

    try:
        runs = {key: {n: [packed(n, value), seen] for n, (value, seen) in mine.items()} for key, mine in parts.items()}
        body = orjson.dumps({"runs": runs, "science": [orjson.Fragment(text) for text in places]})
        read = orjson.loads(body)
        sciences = all(read["science"][place] == science for place, science in shared.values())
    except (TypeError, ValueError):
        return None
    return body if sciences and read["runs"] == runs else None


def _unpacked(body: bytes) -> Parts:
    with without_gc():
        found = orjson.loads(body)
        science = found["science"]
        for mine in found["runs"].values():
            spec = mine.get("spec")
            if spec and isinstance(spec[0].get("science"), int):
                spec[0]["science"] = science[spec[0]["science"]]
    return found["runs"]


def _head(body: bytes) -> bytes:
    return f"gapo-lab {_code()} {hashlib.blake2b(body, digest_size=16).hexdigest()}\n".encode()


def _read(path: Path) -> Parts:
    """Return the parts in the file; none where it is not whole, or not ours."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        if head + b"\n" != _head(body):
            return {}
        return _unpacked(body)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}
