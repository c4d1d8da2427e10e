"""What the git miner takes and what it drops: languages, generated and vendored files, empty edits."""

from __future__ import annotations

import re

_GENERATED_NAME = re.compile(r"(_pb2(_grpc)?\.py|\.pb\.(go|cc|h)|\.min\.js|[._]generated\.\w+|[._]gen\.\w+)$")
_GENERATED_MARK = re.compile(
    rb"code generated|do not edit|do not modify|@generated|auto-?generated", flags=re.IGNORECASE
)
_VENDORED = {
    "3rdparty",
    "_vendor",
    "bower_components",
    "extern",
    "external",
    "godeps",
    "node_modules",
    "site-packages",
    "third-party",
    "third_party",
    "thirdparty",
    "vendor",
    "vendored",
    "vendors",
}


def is_generated(path: str, data: bytes) -> bool:
    """Written by a tool, by the file's name or by a mark in its first 1000 bytes."""
    return bool(_GENERATED_NAME.search(path) or _GENERATED_MARK.search(data[:1000]))


def is_vendored(path: str) -> bool:
    """Somebody else's code, by the name of a folder it lies in."""
    return not _VENDORED.isdisjoint(path.lower().split("/")[:-1])


def only_whitespace(before: str, after: str) -> bool:
    """The edit changes nothing but white space."""
    return "".join(before.split()) == "".join(after.split())


def changed_lines(before: list[str], after: list[str]) -> tuple[list[str], list[str]]:
    """Both sides without the lines they share at the start and at the end."""
    start, end = 0, 0
    shorter = min(len(before), len(after))
    while start < shorter and before[start] == after[start]:
        start += 1
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return before[start : len(before) - end], after[start : len(after) - end]


def edit_kind(before: list[str], after: list[str]) -> str:
    """`insert`, `delete` or `replace`, by the lines that differ."""
    removed, added = changed_lines(before, after)
    if removed and added:
        return "replace"
    return "insert" if added else "delete"
