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


# A bundler wrote the file: its own functions, the way back to the sources.
_BUNDLE = re.compile(rb"__webpack_require__|webpackUniversalModuleDefinition|sourceMappingURL=")
# The heads of bundles that libraries written by hand have, too.
_BUNDLE_HEAD = re.compile(rb"typeof (exports|module|define) ?===? ?['\"](object|function|undefined)['\"]")
_BUNDLED = (".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx")
# A number by itself, or as part of a table.
_TOKEN = re.compile(r"0[xX][0-9a-fA-F]+|\d[\w.]*|[A-Za-z_]\w*")
NUMBERS = 8  # so many new ones at the least are a table,
TABLE = 2 / 3  # where they are this share of all new words


def is_built(path: str, data: bytes) -> bool:
    """Put together from other files: what lies in `dist/`, and bundles in `build/` or by their text."""
    folders = path.lower().split("/")[:-1]
    bundled = path.lower().endswith(_BUNDLED)
    if "dist" in folders or (bundled and _BUNDLE.search(data)):
        return True
    return bundled and "build" in folders and bool(_BUNDLE_HEAD.search(data[:2000]))


def is_numbers(before: str, after: str) -> bool:
    """Most of what the edit adds are numbers that were not there: nobody could guess them."""
    _, added = changed_lines(before.splitlines(), after.splitlines())
    words = _TOKEN.findall("\n".join(added))
    there = set(_TOKEN.findall(before))
    numbers = [word for word in words if word[0].isdigit() and word not in there]
    return len(set(numbers)) >= NUMBERS and len(numbers) >= TABLE * len(words)


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
