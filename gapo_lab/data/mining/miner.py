"""Tasks mined from the history of a git repository.

One task for each file that a commit changes in several places: the earlier hunks are the edit history,
the last hunk is the truth, and the file with the earlier hunks applied is the current code. Applying the
truth gives the committed file exactly, byte for byte; that is asked of every task.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pygit2
from pygit2.enums import DeltaStatus, FileMode

from gapo_lab.data.mining import file_filters as filters
from gapo_lab.data.mining import wishes
from gapo_lab.data.mining.privacy import KEY_BLOCK, Detector
from gapo_lab.data.mining.repository import Origin, first_parents, open_repository, origin, subject, when
from gapo_lab.data.mining.rules import (
    CONTEXT,
    MAX_BLOB,
    MAX_FILES,
    MAX_HUNKS,
    NO_CHANGE,
    Rules,
    in_order,
    nothing_mined,
)
from gapo_lab.data.tasks.task import Hunk, Task
from gapo_lab.data.tasks.text import common_prefix
from gapo_lab.data.tasks.text import language as language_of
from gapo_lab.errors import UserError


@dataclass(frozen=True)
class MineResult:
    """The tasks, oldest first, and how many commits, files or tasks were left out, by reason."""

    tasks: list[Task]
    drops: dict[str, int]


def mine(repo: str | Path, limit: int | None = None, **rules) -> MineResult:
    """Mine the first-parent history of HEAD here and now; `rules` are those of Rules.

    `limit` takes the newest so many tasks. The same repository gives the same tasks. Raises
    UserError for a folder that is no repository, an empty one, a limit below 1, and when nothing is mined.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: must be 1 or above; leave it out for all examples")
    repository = open_repository(repo)
    miner = Miner(repository, origin(repository), Rules(**rules))
    tasks, seen = [], set()
    for oid in first_parents(repository):
        for task in miner.commit(oid):
            if (same := digest(task)) in seen:
                miner.drops["duplicate"] += 1
                continue
            seen.add(same)
            tasks.append(task)
    if not tasks:
        raise UserError(nothing_mined(repo, miner.drops))
    return MineResult(tasks[-limit:] if limit else tasks, in_order(miner.drops))


def digest(task: Task) -> bytes:
    """16 bytes that two tasks share when they make the same of the same."""
    return hashlib.blake2b(f"{task.region}\0{task.truth}".encode(), digest_size=16).digest()


class _Dropped(Exception):
    """Carries the reason, one of DROPS."""


class Miner:
    """Turns commits of one repository into tasks; `drops` counts what it leaves out."""

    def __init__(self, repository: pygit2.Repository, origin: Origin, rules: Rules):
        self.repository, self.origin, self.rules = repository, origin, rules
        self.drops: Counter = Counter()
        self._detector = Detector()
        # what a commit leaves is what a later one finds; at most 30 MB
        self._size = lru_cache(maxsize=4096)(lambda oid: repository.odb.read_header(oid)[1])
        self._data = lru_cache(maxsize=512)(lambda oid: repository[oid].data)

    def commit(self, oid: pygit2.Oid) -> list[Task]:
        """The tasks of one commit, files in git's order."""
        own, tasks = Counter(), []
        try:
            commit = self.repository[oid]
            if len(commit.parent_ids) > 1:
                raise _Dropped("merge")
            if not commit.parent_ids or commit.parent_ids[0] not in self.repository:
                raise _Dropped("first commit")
            if wishes.is_release(subject(commit), self.origin.name):
                raise _Dropped("a release")
            provenance = self._provenance(commit)
            diff = commit.parents[0].tree.diff_to_tree(commit.tree)
            if len(diff) > MAX_FILES:
                raise _Dropped(f"over {MAX_FILES} files")
            instruction = wishes.wish(subject(commit), self.rules.wish)
            for delta in diff.deltas:
                try:
                    tasks += self._file(delta, instruction, provenance)
                except _Dropped as reason:
                    own[str(reason)] += 1
        except _Dropped as reason:
            self.drops[str(reason)] += 1
            return []
        # a partial clone lacks this blob or tree, or it is broken: the whole commit is left out
        except (KeyError, pygit2.GitError):
            self.drops["objects missing"] += 1
            return []
        self.drops.update(own)
        return [kept for task in tasks if (kept := self._take(task)) is not None]

    def _provenance(self, commit: pygit2.Commit) -> dict[str, str]:
        try:
            time = when(commit)
        except OverflowError:
            raise _Dropped("impossible date") from None
        origin = {"repository": self.origin.name, "licence": self.origin.licence}
        return {**origin, "commit": str(commit.id), "time": time}

    def _file(self, delta: pygit2.DiffDelta, instruction: str, provenance: dict[str, str]) -> Iterator[Task]:
        """The task of one changed file, and its "no change" twin for the chosen share of them."""
        path, language, old, new = self._texts(delta)
        # from the bytes alone: the repository's attributes (drivers, "binary") have no say
        hunks = pygit2.Patch.create_from(old, new, context_lines=CONTEXT).hunks
        if len(hunks) < 2:
            raise _Dropped("single hunk")
        if len(hunks) > MAX_HUNKS:
            raise _Dropped(f"over {MAX_HUNKS} hunks")
        before, after = _lines(_decoded(old)), _lines(_decoded(new))
        if filters.is_built(path, new):
            raise _Dropped("built")
        if filters.is_generated(path, new):
            raise _Dropped("generated")
        spans = [(_span(h.old_start, h.old_lines), _span(h.new_start, h.new_lines)) for h in hunks]
        history = tuple(
            Hunk(path, *map("".join, filters.changed_lines(before[old_span], after[new_span])))
            for old_span, new_span in spans
        )
        old_span, new_span = spans[-1]
        region, truth = "".join(before[old_span]), "".join(after[new_span])
        task = Task(
            id=hashlib.sha256(f"{provenance['commit']}:{path}".encode()).hexdigest()[:12],
            language=language,
            kind=filters.edit_kind(before[old_span], after[new_span]),
            path=path,
            history=history[:-1],
            prefix="".join(after[: new_span.start]),
            region=region,
            suffix="".join(before[old_span.stop :]),
            cursor=common_prefix(region, truth),
            truth=truth,
            instruction=instruction,
            provenance={**provenance, "path": path, "blob": str(delta.new_file.id)},
        )
        if task.edited.encode() != new:
            raise RuntimeError(f"{provenance['commit']}:{path}: the mined edit does not give the committed file")
        yield task
        share = self.rules.no_change
        wanted = share and int(task.id, 16) / 16**12 < share / (1 - share)
        if wanted and (twin := self._no_change(task, after, [new for _, new in spans], history)):
            yield twin

    def _texts(self, delta: pygit2.DiffDelta) -> tuple[str, str, bytes, bytes]:
        """Path, language, and the file's bytes before and after. Raises _Dropped, or KeyError if it is not there."""
        if delta.status != DeltaStatus.MODIFIED:
            raise _Dropped("not modified")
        if not {delta.old_file.mode, delta.new_file.mode} <= {FileMode.BLOB, FileMode.BLOB_EXECUTABLE}:
            raise _Dropped("not a file")  # a link, a submodule
        path = _decoded(delta.new_file.raw_path)
        language = language_of(path, self.origin.header)
        if language is None:
            raise _Dropped("other language")
        if filters.is_vendored(path):
            raise _Dropped("vendored")
        # the size first: the header of a file of 100 MB is small
        sides = (delta.old_file.id, delta.new_file.id)
        if any(self._size(side) > MAX_BLOB for side in sides):
            raise _Dropped(f"over {MAX_BLOB // 1000} kB")
        old, new = map(self._data, sides)
        if b"\0" in old or b"\0" in new:
            raise _Dropped("binary")
        if b"\r" in old or b"\r" in new:
            raise _Dropped("CRLF")
        return path, language, old, new

    def _no_change(self, task: Task, lines: list[str], spans: list[slice], history: tuple[Hunk, ...]) -> Task | None:
        """The same commit when all is done: the region lies where no hunk was. None where there is no such place."""
        size = task.truth.count("\n") or 1
        busy = {number for span in spans for number in range(span.start, span.stop)}
        places = len(lines) - size + 1
        for step in range(min(places, 50)):
            start = (int(task.id, 16) + step * 7) % places
            region = "".join(lines[start : start + size])
            free = busy.isdisjoint(range(start, start + size))
            if free and region.strip() and self.rules.min_chars <= len(region) <= self.rules.max_chars:
                prefix, suffix = "".join(lines[:start]), "".join(lines[start + size :])
                return replace(
                    task,
                    id=f"{task.id}n",
                    kind=NO_CHANGE,
                    history=history,
                    prefix=prefix,
                    region=region,
                    suffix=suffix,
                    cursor=int(task.id[:6], 16) % len(region),
                    truth=region,
                )
        return None

    def _take(self, task: Task) -> Task | None:
        """The task, or the task with what is private masked; None, and counted, when it is left out."""
        if task.kind != NO_CHANGE and filters.only_whitespace(task.region, task.truth):
            self.drops["only white space"] += 1
        elif len(task.truth) < self.rules.min_chars:
            self.drops["output too short"] += 1
        elif len(task.truth) > self.rules.max_chars:
            self.drops["output too long"] += 1
        elif task.kind != NO_CHANGE and filters.is_numbers(task.region, task.truth):
            self.drops["numbers"] += 1
        elif self.rules.private == "keep" or not (found := self._private(task)):
            return task
        elif self.rules.private == "drop" or KEY_BLOCK in found.values():
            self.drops["private"] += 1
        else:
            return _masked(task, lambda text: self._detector.mask(text, found), len(found))
        return None

    def _private(self, task: Task) -> dict[str, str]:
        hunks = (side for hunk in task.history for side in (hunk.before, hunk.after))
        return self._detector.find("\n".join((task.code, task.truth, task.path, task.instruction, *hunks)))


def _masked(task: Task, mask, count: int) -> Task:
    region, truth = mask(task.region), mask(task.truth)
    return replace(
        task,
        history=tuple(Hunk(mask(h.path), mask(h.before), mask(h.after)) for h in task.history),
        **{part: mask(getattr(task, part)) for part in ("path", "prefix", "suffix", "instruction")},
        region=region,
        truth=truth,
        cursor=common_prefix(region, truth) if task.kind != NO_CHANGE else 0,
        provenance={**task.provenance, "path": mask(task.path), "blob": "", "masked": str(count)},
    )


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _Dropped("not UTF-8") from None


def _lines(text: str) -> list[str]:
    """The lines as git counts them: ended by a line feed alone, the last one possibly without."""
    *ended, rest = text.split("\n")
    return [line + "\n" for line in ended] + ([rest] if rest else [])


def _span(start: int, count: int) -> slice:
    """A hunk's `start,count` as a slice; with no lines, git's start is the line before."""
    first = start - 1 if count else start
    return slice(first, first + count)
