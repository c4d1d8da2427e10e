"""Tasks mined from the history of a git repository.

One task for each file that a commit changes in several places: the earlier hunks are the edit history,
the last hunk is the truth, and the file with the earlier hunks applied is the current code. Applying the
truth gives the committed file exactly: `task.edited` is its text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pygit2
from pygit2.enums import DeltaStatus

from gapo_lab.data import git_filters as filters
from gapo_lab.data.task import Hunk, Task
from gapo_lab.errors import UserError

MAX_FILES = 40  # in a commit
MAX_HUNKS = 12  # in a file
MAX_BLOB = 60_000  # bytes of a file, before or after
CONTEXT = 3  # unchanged lines about a change, as git shows them

# Why something is left out, in the order in which it is asked: commits, files, tasks.
DROPS = (
    "merge", "first commit", f"over {MAX_FILES} files", "objects missing",
    "not modified", "other language", "binary", "single hunk", f"over {MAX_HUNKS} hunks",
    f"over {MAX_BLOB // 1000} kB", "CRLF", "not UTF-8", "generated", "vendored",
    "only white space", "output too short", "output too long", "duplicate",
)  # fmt: skip


@dataclass(frozen=True)
class MineResult:
    """The tasks, oldest first, and how many commits, files or tasks were left out, by reason."""

    tasks: list[Task]
    drops: dict[str, int]


class _Dropped(Exception):
    """Carries the reason, one of DROPS."""


def mine(repo: str | Path, limit: int | None = None, min_chars: int = 36, max_chars: int = 833) -> MineResult:
    """Mine the first-parent history of HEAD, oldest commit first.

    `limit` ends the walk at so many tasks. `min_chars` and `max_chars` bound the length of a task's truth
    in characters (the paper's Table 1: 36 to 833). The same repository gives the same tasks. Raises
    UserError for a folder that is no repository, an empty one, a limit below 1, and when nothing is mined.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit={limit}: must be 1 or above; leave it out for all tasks")
    repository = _open(repo)
    header = _header_language(repository)
    tasks, drops, seen = [], Counter(), set()
    for commit in _first_parents(repository):
        for task in _commit_tasks(repository, commit, header, drops):
            reason = _reason_to_drop(task, seen, min_chars, max_chars)
            if reason:
                drops[reason] += 1
                continue
            seen.add((task.region, task.truth))
            tasks.append(task)
            if len(tasks) == limit:
                return MineResult(tasks, _in_order(drops))
    if not tasks:
        counts = ", ".join(f"{reason} {count}" for reason, count in _in_order(drops).items())
        raise UserError(f"{repo}: no task mined (left out: {counts}); name a repository with more history")
    return MineResult(tasks, _in_order(drops))


def head(repo: str | Path) -> str:
    """The hash of HEAD's commit. Raises UserError as `mine` does."""
    return str(_open(repo).head.target)


def split_by_time(tasks: list[Task], id_share: float = 0.07) -> tuple[list[Task], list[Task]]:
    """Training tasks and ID test tasks: of each repository the last `id_share` by time are the test.

    Tasks of one commit stay together, so the test may hold a few more. (A random split leaks: later
    versions of a file hold earlier truths.) Raises UserError for a share outside (0, 1) or when nothing
    would be left to train on.
    """
    if not 0 < id_share < 1:
        raise UserError(f"id_share={id_share}: must be between 0 and 1, such as 0.07")
    first_test_time = {}
    for name in {task.provenance["repository"] for task in tasks}:
        times = sorted(task.provenance["time"] for task in tasks if task.provenance["repository"] == name)
        first_test_time[name] = times[-max(1, round(id_share * len(times)))]
    train, test = [], []
    for task in tasks:
        later = task.provenance["time"] >= first_test_time[task.provenance["repository"]]
        (test if later else train).append(task)
    if not train:
        raise UserError(
            f"{len(tasks)} mined tasks cannot be split by time; name a repository with more history"
        )
    return train, test


# --------------------------------------------------------------------------------------- the repository


def _open(path: str | Path) -> pygit2.Repository:
    try:
        repository = pygit2.Repository(str(path))
    except pygit2.GitError as error:
        raise UserError(
            f"{path}: not a git repository that can be read ({error}); name its top folder"
        ) from None
    if repository.head_is_unborn:
        raise UserError(f"{path}: the git repository has no commit; commit something or name another")
    return repository


def _name(repository: pygit2.Repository) -> str:
    return Path(repository.workdir or repository.path).resolve().name.removesuffix(".git")


def _first_parents(repository: pygit2.Repository) -> Iterator[pygit2.Commit]:
    """HEAD's first-parent line, oldest first; in a shallow clone from its first commit on."""
    walker = repository.walk(repository.head.target)
    walker.simplify_first_parent()
    for oid in reversed([commit.id for commit in walker]):
        yield repository[oid]


def _header_language(repository: pygit2.Repository) -> str:
    """What `.h` is here: C++ where HEAD has more C++ files than C files."""
    counts, trees = Counter(), [repository.head.peel(pygit2.Tree)]
    while trees:
        for entry in trees.pop():
            if entry.type_str == "tree":
                trees.append(entry)
            else:
                counts[filters.language(entry.name, header=None)] += 1
    return "cpp" if counts["cpp"] > counts["c"] else "c"


def _in_order(drops: Counter) -> dict[str, int]:
    return {reason: drops[reason] for reason in DROPS if drops[reason]}


# ------------------------------------------------------------------------------- commits, files, tasks


def _commit_tasks(
    repository: pygit2.Repository, commit: pygit2.Commit, header: str, drops: Counter
) -> list[Task]:
    """The tasks of one commit, files in git's order; what is left out is counted in `drops`."""
    tasks, own_drops = [], Counter()
    try:
        if len(commit.parent_ids) > 1:
            raise _Dropped("merge")
        if not commit.parent_ids or commit.parent_ids[0] not in repository:
            raise _Dropped("first commit")
        diff = repository.diff(commit.parents[0].tree, commit.tree, context_lines=CONTEXT)
        if len(diff) > MAX_FILES:
            raise _Dropped(f"over {MAX_FILES} files")
        for number, delta in enumerate(diff.deltas):
            try:
                tasks.append(_file_task(repository, commit, diff, number, delta, header))
            except _Dropped as reason:
                own_drops[str(reason)] += 1
    except _Dropped as reason:
        drops[str(reason)] += 1
        return []
    except KeyError:  # a partial clone lacks this blob or tree: leave the whole commit out
        drops["objects missing"] += 1
        return []
    drops.update(own_drops)
    return tasks


def _file_task(
    repository: pygit2.Repository,
    commit: pygit2.Commit,
    diff: pygit2.Diff,
    number: int,
    delta: pygit2.DiffDelta,
    header: str,
) -> Task:
    """The task of one changed file. Raises _Dropped when there is none, KeyError for a missing object."""
    path = delta.new_file.path
    if delta.status != DeltaStatus.MODIFIED:
        raise _Dropped("not modified")
    language = filters.language(path, header)
    if language is None:
        raise _Dropped("other language")
    before, after = (repository[file.id].data for file in (delta.old_file, delta.new_file))
    patch = diff[number]
    if patch.delta.is_binary:
        raise _Dropped("binary")
    hunks = list(patch.hunks)
    if len(hunks) < 2:
        raise _Dropped("single hunk")
    if len(hunks) > MAX_HUNKS:
        raise _Dropped(f"over {MAX_HUNKS} hunks")
    if max(len(before), len(after)) > MAX_BLOB:
        raise _Dropped(f"over {MAX_BLOB // 1000} kB")
    if b"\r" in before or b"\r" in after:
        raise _Dropped("CRLF")
    try:
        old, new = _lines(before.decode()), _lines(after.decode())
    except UnicodeDecodeError:
        raise _Dropped("not UTF-8") from None
    if filters.is_generated(path, after):
        raise _Dropped("generated")
    if filters.is_vendored(path):
        raise _Dropped("vendored")

    spans = [(_span(h.old_start, h.old_lines), _span(h.new_start, h.new_lines)) for h in hunks]
    history = []
    for old_span, new_span in spans[:-1]:
        removed, added = filters.changed_lines(old[old_span], new[new_span])
        history.append(Hunk(path, "".join(removed), "".join(added)))
    old_span, new_span = spans[-1]
    region, truth = "".join(old[old_span]), "".join(new[new_span])
    return Task(
        id=hashlib.sha256(f"{commit.id}:{path}".encode()).hexdigest()[:12],
        language=language,
        kind=filters.edit_kind(old[old_span], new[new_span]),
        path=path,
        history=tuple(history),
        prefix="".join(new[: new_span.start]),
        region=region,
        suffix="".join(old[old_span.stop :]),
        cursor=filters.common_prefix(region, truth),
        truth=truth,
        instruction=commit.message.strip().partition("\n")[0],
        provenance={
            "repository": _name(repository),
            "commit": str(commit.id),
            "path": path,
            "time": datetime.fromtimestamp(commit.commit_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )


def _reason_to_drop(task: Task, seen: set, min_chars: int, max_chars: int) -> str | None:
    if filters.only_whitespace(task.region, task.truth):
        return "only white space"
    if len(task.truth) < min_chars:
        return "output too short"
    if len(task.truth) > max_chars:
        return "output too long"
    if (task.region, task.truth) in seen:
        return "duplicate"
    return None


def _lines(text: str) -> list[str]:
    """The lines as git counts them: ended by a line feed alone, the last one possibly without."""
    *ended, rest = text.split("\n")
    return [line + "\n" for line in ended] + ([rest] if rest else [])


def _span(start: int, count: int) -> slice:
    """A hunk's `start,count` as a slice; with no lines, git's start is the line before."""
    first = start - 1 if count else start
    return slice(first, first + count)
