"""The runs of one run root: all of them, quickly. What was read before and has not changed is not read again."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from gapo_lab.errors import UserError
from gapo_lab.runs import checkpoints, kept_spec, spec_file
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.checkpoints import Keep
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.kept_spec import Label, Packer
from gapo_lab.runs.remembered import Remembered
from gapo_lab.runs.run_parts import UNKNOWN, RunParts
from gapo_lab.runs.status import NEW, RunStatus
from gapo_lab.utils.waiting import waited

# Where looking at a run takes this long, the disk is waited for, and several can wait at once.
SLOW_SECONDS, AT_ONCE = 0.001, 64
FEW = 16  # runs that are looked at one by one, to see how long it takes


class RunRoot:
    """``with RunRoot(path) as runs:`` is one moment: each file is looked at once. `look` begins another.

    Its folders are to be read; a run that is worked on is a `RunFolder`. remember: use and write the file of what
    earlier commands have read (`gapo_lab.runs.remembered`).
    """

    def __init__(self, path: Path, remember: bool = True) -> None:
        self.path = Path(path)
        self._remembered = Remembered(self.path, remember)
        self._packer = Packer()
        self._names: set[str] | None = None
        self._folders: dict[str, RememberedFolder] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is None:
            self._remembered.write(self.names)

    def look(self) -> None:
        """Begin another moment."""
        self._names = None
        self._remembered.look()

    @property
    def names(self) -> Collection[str]:
        """What there is in the folder."""
        if self._names is None:
            try:
                with os.scandir(self.path) as entries:
                    self._names = {one.name for one in entries}
            except (FileNotFoundError, NotADirectoryError):
                self._names = set()
        return self._names

    def folder(self, key: str) -> RememberedFolder:
        if key not in self._folders:
            self._folders[key] = RememberedFolder(self.path, key, self._remembered.run(key), self._packer)
        return self._folders[key]

    def folders(self) -> list[RunFolder]:
        """All run folders (those with a spec.yaml), by key."""
        found = [self.folder(key) for key in sorted(self.names)]
        ahead(found, lambda folder: folder.has("spec.yaml"))
        return [folder for folder in found if folder.has("spec.yaml")]

    def keys(self) -> list[str]:
        return [folder.key for folder in self.folders()]


def find(root: Path) -> list[RunFolder]:
    """All run folders under ``root`` (those with a spec.yaml), by key."""
    return [RunFolder(folder.path) for folder in RunRoot(root, remember=False).folders()]


def ahead(folders: Sequence[RunFolder], read: Callable[[Any], object]) -> None:
    """Where the disk is slow: read something of each folder now, several at once. What goes wrong is met again by
    whoever asks for it."""

    def each(part: Sequence[RunFolder]) -> None:
        for folder in part:
            with suppress(UserError, OSError):
                read(folder)

    few = folders[:: max(1, len(folders) // FEW)][:FEW]
    before = waited()
    each(few)
    if len(folders) > len(few) and waited() - before > len(few) * SLOW_SECONDS:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(AT_ONCE) as pool:
            # a task for each thread: one for each folder costs more than reading it from memory
            list(pool.map(each, (folders[first::AT_ONCE] for first in range(AT_ONCE))))


class RememberedFolder(RunFolder):
    """A run folder that is only read. Each answer is that of its files at the moment of its run root."""

    def __init__(self, root: Path, key: str, parts: RunParts, packer: Packer) -> None:
        self._root, self._key, self._parts, self._packer = root, key, parts, packer
        self._read: tuple[Any, RunStatus] = (None, NEW)  # what was made of a status.json

    def __getattr__(self, name: str) -> Any:
        if name != "path":
            raise AttributeError(name)
        self.path = self._root / self._key  # ten thousand paths take a while, and few are asked for
        return self.path

    @property
    def key(self) -> str:
        return self._key

    def _at(self, name: str) -> str:
        return f"{self._parts.at}/{name}"

    def has(self, name: str) -> bool:
        found = self._parts.signature(name)
        return super().has(name) if found is None else bool(found)

    def size(self, name: str) -> int | None:
        found = self._parts.signature(name)
        if found is None:
            return super().size(name)
        return found[2] if found else None

    def _part(self, name: str, files: Callable[[], Sequence[str]], read: Callable[[], Any]) -> Any:
        return self._parts.part(name, files, read)

    @property
    def spec(self) -> dict[str, Any]:
        return kept_spec.unpack(self._packed_spec())

    @property
    def study(self) -> Any:
        return self._packed_spec().get("study")

    @property
    def cell(self) -> str:
        return self.label().cell

    def label(self) -> Label:
        return kept_spec.label(self._packed_spec())

    def _packed_spec(self) -> dict[str, Any]:
        kept = self._parts.kept("spec")  # what is asked of each run is looked up before it is said how to read it
        return self._part("spec", lambda: ["spec.yaml"], self._read_spec) if kept is UNKNOWN else kept

    def _read_spec(self) -> dict[str, Any]:
        return self._packer.pack(spec_file.read(self._at("spec.yaml"), shared=True))

    @property
    def raw_status(self) -> RunStatus:
        raw = self._status_json()
        if raw is not self._read[0]:
            self._read = (raw, self._status_of(raw))
        return self._read[1]

    def _status_json(self) -> Any:
        kept = self._parts.kept("status")
        return self._part("status", lambda: ["status.json"], super()._status_json) if kept is UNKNOWN else kept

    def summary(self) -> dict[str, Any] | None:
        found = self._parts.kept("summary")
        if found is UNKNOWN and self.has("summary.json"):
            found = self._part("summary", lambda: ["summary.json"], super().summary)
        return dict(found) if isinstance(found, dict) else None

    def numbers(self) -> dict[str, Any]:
        if (found := self.summary()) is not None:
            return found
        files = lambda: ["config.yaml", *self._metrics_files()]  # noqa: E731
        return dict(self._part("numbers", files, super().numbers))

    def keep(self) -> Keep:
        """Return what it keeps of its checkpoints once it has finished."""
        return Keep(self._part("keep", lambda: ["config.yaml"], self._configured_keep))

    def _configured_keep(self) -> str:
        found = self.config_values(["keep", "model.billions"])
        return str(Keep.of({"keep": found.get("keep"), "model": {"billions": found.get("model.billions", 0)}}))

    def attempts(self) -> list[Attempt]:
        # its signature before it is listed
        self._parts.signature("attempts")
        return list(self._parts.once("attempts", super().attempts))

    def resume_step(self) -> int:
        if not self.has(f"checkpoints/{checkpoints.TRACKER}"):
            return 0
        return self._part("resume", lambda: [*self._checkpoint_files(), *self._metrics_files()], super().resume_step)

    def _metrics_files(self) -> Iterator[str]:
        yield "attempts"
        for attempt in self.attempts():
            yield f"attempts/{attempt.path.name}/metrics.jsonl"

    def _checkpoint_files(self) -> Iterator[str]:
        self._parts.signature("checkpoints")
        yield "checkpoints"
        yield f"checkpoints/{checkpoints.TRACKER}"
        for path in checkpoints.steps(self.checkpoints).values():
            yield f"checkpoints/{path.name}"
