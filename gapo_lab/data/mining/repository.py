"""A git repository as the miner reads it: objects only. Nothing of it is run, no hook, filter, driver or helper."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2

from gapo_lab.data.tasks.text import language
from gapo_lab.errors import UserError
from gapo_lab.utils.text import first_line

_LICENCE_FILE = re.compile(r"^(un)?licen[cs]e|^copying|^licen[cs]es$", re.IGNORECASE)
# A phrase of each licence that no other one here has; the first that is found names it.
_LICENCES = (
    ("Apache-2.0", r"Apache License,?\s+Version 2\.0"),
    ("AGPL-3.0", r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3"),
    ("LGPL-3.0", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3"),
    ("LGPL-2.1", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1"),
    ("GPL-3.0", r"GNU GENERAL PUBLIC LICENSE\s+Version 3"),
    ("GPL-2.0", r"GNU GENERAL PUBLIC LICENSE\s+Version 2"),
    ("MPL-2.0", r"Mozilla Public License,?\s+(Version|v\.)\s*2\.0"),
    ("BSD-3-Clause", r"Redistribution and use in source.*?Neither the name"),
    ("BSD-2-Clause", r"Redistribution and use in source"),
    ("MIT", r"Permission is hereby granted, free of charge.*?sublicen[cs]e"),
    ("ISC", r"Permission to use, copy, modify,? and/?o?r? distribute this software"),
    ("Unlicense", r"free and unencumbered software"),
    ("CC0-1.0", r"CC0 1\.0"),
)
_NO_NAME = {"repo", ".git", "repository", "git", "src"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Origin:
    """What is true of all tasks of one repository.

    `name` is `owner/name` of where it was cloned from, else the folder's name. `licence` is the licence file in
    HEAD's top folder with what it is recognised as, such as `LICENSE (MIT)`, or an empty text. `header` is the
    language of `.h` files.
    """

    name: str
    licence: str
    header: str


def open_repository(path: str | Path) -> pygit2.Repository:
    """Raises UserError for a folder that is no repository, that cannot be read, or that has no commit."""
    # What is read once is not worth keeping. libgit2 would map a pack as a whole, however large, and keep its objects.
    pygit2.option(pygit2.enums.Option.SET_MWINDOW_SIZE, 4 << 20)
    pygit2.option(pygit2.enums.Option.SET_MWINDOW_MAPPED_LIMIT, 32 << 20)
    pygit2.option(pygit2.enums.Option.SET_CACHE_MAX_SIZE, 24 << 20)
    try:
        repository = pygit2.Repository(str(path))
        if repository.head_is_unborn:
            raise UserError(f"{path}: the git repository has no commit; commit something or name another")
        repository.head.peel(pygit2.Tree)
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: not a git repository that can be read ({first_line(error)}); name its top folder"
        ) from None
    return repository


def origin(repository: pygit2.Repository) -> Origin:
    """Name, licence and the language of headers; reads trees and one file."""
    return Origin(name(repository), licence(repository), header_language(repository))


def name(repository: pygit2.Repository) -> str:
    """`owner/name` where the repository was cloned from an address, else its folder's name."""
    try:
        url = repository.config["remote.origin.url"]
    except (KeyError, pygit2.GitError, ValueError):
        url = ""
    # the host and whatever stands before it, a user's token too, are left out
    found = re.match(r"^(?:\w+://[^/]+/|[\w.-]+@[\w.-]+:)(.+)$", url)
    if found and not url.startswith("file:"):
        return "/".join(found[1].strip("/").removesuffix(".git").split("/")[-2:])
    folder = Path(repository.workdir or repository.path).resolve()
    if folder.name.removesuffix(".git") in _NO_NAME:
        return f"{folder.parent.name}/{folder.name}"
    return folder.name.removesuffix(".git")


def licence(repository: pygit2.Repository) -> str:
    """The licence file in HEAD's top folder and what it is recognised as."""
    tree = repository.head.peel(pygit2.Tree)
    for entry in sorted(tree, key=lambda entry: entry.raw_name):
        if entry.type_str != "blob" or not _LICENCE_FILE.search(entry.name):
            continue
        try:
            text = repository[entry.id].data[:40_000].decode("utf-8", "replace")
        except (KeyError, pygit2.GitError):
            return entry.name
        known = next((spdx for spdx, phrase in _LICENCES if re.search(phrase, text, re.DOTALL | re.IGNORECASE)), None)
        return f"{entry.name} ({known})" if known else entry.name
    return ""


def header_language(repository: pygit2.Repository) -> str:
    """What `.h` is here: C++ where HEAD has more C++ files than C files."""
    counts, trees = Counter(), [repository.head.peel(pygit2.Tree)]
    while trees:
        for entry in trees.pop():
            if entry.type_str == "tree":
                if entry.id in repository:  # a partial clone may lack it
                    trees.append(repository[entry.id])
            else:
                counts[language(entry.raw_name.decode("utf-8", "replace"), header=None)] += 1
    return "cpp" if counts["cpp"] > counts["c"] else "c"


def first_parents(
    repository: pygit2.Repository, since: datetime | None = None, until: datetime | None = None
) -> list[pygit2.Oid]:
    """HEAD's first-parent line, oldest first, of commits from `since` up to, but not including, `until`.

    In a shallow clone it begins at the first commit that is there.
    """
    walker = repository.walk(repository.head.target)
    walker.simplify_first_parent()
    low = -float("inf") if since is None else since.timestamp()
    high = float("inf") if until is None else until.timestamp()
    return [commit.id for commit in walker if low <= commit.commit_time < high][::-1]


def when(commit: pygit2.Commit) -> str:
    """The time of a commit, UTC. Raises OverflowError for one that no calendar has."""
    return (_EPOCH + timedelta(seconds=commit.commit_time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def subject(commit: pygit2.Commit) -> str:
    """The first line of a commit's message, whatever it is encoded in."""
    return commit.raw_message.decode("utf-8", "replace").strip().partition("\n")[0].strip()
