"""Which commits, files and tasks the miner takes, and the names of the reasons for which it leaves one out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gapo_lab.data.mining.privacy import MODES
from gapo_lab.data.mining.wishes import WISHES
from gapo_lab.errors import UserError

MAX_FILES = 40  # in a commit
MAX_HUNKS = 12  # in a file
MAX_BLOB = 60_000  # bytes of a file, before or after
CONTEXT = 3  # unchanged lines about a change, as git shows them
NO_CHANGE = "no change"  # the kind of a task whose region stays as it is

# Why something is left out, in the order in which it is asked: commits, files, tasks, the whole set.
DROPS = (
    "merge",
    "first commit",
    f"over {MAX_FILES} files",
    "impossible date",
    "a release",
    "objects missing",
    "not modified",
    "other language",
    "not a file",
    "vendored",
    "built",
    f"over {MAX_BLOB // 1000} kB",
    "binary",
    "single hunk",
    f"over {MAX_HUNKS} hunks",
    "CRLF",
    "not UTF-8",
    "generated",
    "only white space",
    "output too short",
    "output too long",
    "numbers",
    "private",
    "duplicate",
    "over max-per-repo",
    "near-duplicate of the test",
    "leaked",
)


@dataclass(frozen=True)
class Rules:
    """Which tasks are taken. Lengths of a truth are in characters (the paper's Table 1: 36 to 833).

    `no_change` is the share, in [0, 0.5], of tasks in which nothing should change; `private` is what happens to a
    task with something private in it: `drop`, `mask` (such a task is no longer the committed file) or `keep`. `wish` is
    the user's: `subject` of the commit, `none`, or `auto`, the subject where it says something.
    Raises UserError for values that cannot be.
    """

    min_chars: int = 36
    max_chars: int = 833
    no_change: float = 0.0
    private: str = "drop"
    wish: str = "auto"

    def __post_init__(self):
        if not 0 < self.min_chars <= self.max_chars:
            raise UserError(f"lengths of {self.min_chars} to {self.max_chars} characters: give 1 <= min <= max")
        if not 0 <= self.no_change <= 0.5:
            raise UserError(f"no-change share {self.no_change}: must be from 0 to 0.5")
        if self.private not in MODES:
            raise UserError(f"private={self.private}: must be one of {', '.join(MODES)}")
        if self.wish not in WISHES:
            raise UserError(f"wish={self.wish}: must be one of {', '.join(WISHES)}")


def nothing_mined(repo: object, drops: Counter) -> str:
    """The line that says so, with what was left out."""
    counts = ", ".join(f"{reason} {count}" for reason, count in in_order(drops).items()) or "no commit in the range"
    return f"{repo}: no example mined (left out: {counts}); name a repository with more history"


def in_order(drops: Counter) -> dict[str, int]:
    """The counts that are not 0, in the order of DROPS."""
    return {reason: drops[reason] for reason in DROPS if drops[reason]}


def by_kind(drops: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The same counts as `{commits: {merge: 5}, files: ..., edits: ...}`: of what they are."""
    starts = [("commits", DROPS.index("merge")), ("files", DROPS.index("not modified"))]
    starts.append(("edits", DROPS.index("only white space")))
    found: dict[str, dict[str, int]] = {}
    for reason, count in drops.items():
        place = DROPS.index(reason) if reason in DROPS else len(DROPS)
        kind = [name for name, start in starts if place >= start][-1]
        found.setdefault(kind, {})[reason] = count
    return found
