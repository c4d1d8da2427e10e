"""What a commit's subject says to somebody who is to make its edit: something, nothing, or that it is a release."""

from __future__ import annotations

import re

# subject: as it stands; none: no task has one; auto: as it stands, but none where it says nothing.
WISHES = ("auto", "subject", "none")

_WORD = re.compile(r"[^\s:,;!?()\[\]{}<>\"'`/]+")
_VERSION = re.compile(
    r"v?\d+(\.\d+)*([-+._]?(alpha|beta|rc|dev|pre|post|snapshot|final|a|b)[-.]?\d*)?\.?", re.IGNORECASE
)
# With one of these, or a number with a dot, a subject of such words alone is a release.
_RELEASE = re.compile(r"(re-?)?releas(e|es|ed|ing)|versions?|bump(s|ed|ing)?|changelog", re.IGNORECASE)
# What else such a subject says.
_BESIDE = """
a alpha an and beta build candidate change changed changelog changing chore ci cut date dates dev development final
for in is new next now number numbers of package post pre prepare prepared preparing publish published publishing rc
set snapshot start tag tagged tagging the this to up update updated updates updating ver
"""
_NOTHING = """
a again all an and another bit bug bugfix bugs change changed changes changing clean cleaning cleanup code commit
done edit edits few file files final fix fixed fixes fixing from hotfix i improve improved improvement improvements
in initial latest little local main many master merge minor misc miscellaneous more my new of ok oops patch progress
push refactor refactored refactoring save several small some squash stuff sync temp the thing things this tmp to
tweak tweaked tweaks up update updated updates updating various version wip work working
"""


def is_release(subject: str, repository: str = "") -> bool:
    """Whether it names a version or a release and nothing else; the repository's own name may stand beside it."""
    words = _WORD.findall(subject)
    beside = set(_BESIDE.split()) | set(re.split(r"[^a-z0-9]+", repository.lower()))
    versions = [word for word in words if _VERSION.fullmatch(word)]
    releases = [word for word in words if _RELEASE.fullmatch(word.strip("."))]
    rest = [word for word in words if word not in versions and word not in releases]
    said = bool(releases) or any("." in word.strip(".") for word in versions)
    return said and all(word.lower().strip(".-") in beside or not _has_letter(word) for word in rest)


def says_nothing(subject: str) -> bool:
    """Whether nobody could tell from it what is to be done: `fix`, `wip`, `more updates`, `#123`."""
    return all(
        word.lower().strip(".-_*") in _NOTHING.split() or not _has_letter(word) for word in _WORD.findall(subject)
    )


def wish(subject: str, how: str) -> str:
    """The user's wish of a commit's tasks; '' for none."""
    return "" if how == "none" or (how == "auto" and says_nothing(subject)) else subject


def _has_letter(word: str) -> bool:
    return any(sign.isalpha() for sign in word)
