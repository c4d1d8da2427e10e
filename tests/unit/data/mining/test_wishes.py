"""Subjects that are only a release, or say nothing."""

import pytest

from gapo_lab.data.mining.wishes import is_release, says_nothing, wish

RELEASES = [
    *(
        "Releasing 0.4.2",
        "[Releasing] v0.19.0",
        "zlib 1.2.5.1",
        "v1.0.0-beta.2",
        "chore(release): v1.7.2",
        "Bump version",
    ),
    *("Bump version to 2.1.", "Release", "Prepare for the next release", "8.1.0rc1", "Update changelog for 3.0"),
    "Change version numbers to 1.2.5.2 and release dates",
]
WISHES = [
    *("Fix crash when the version is missing", "Add 3.12 to the matrix", "Bump lodash from 4.17.20 to 4.17.21"),
    *("Release the lock on errors", "Use two spaces", "Update docs for zlib", "version: compare by parts", "fix typo"),
    *("Support HTTP/2", "2 workers"),
]
NOTHING = ["fix", "wip", "WIP.", "more updates", "#123", "...", "", "minor changes", "Fixes #12", "update"]


@pytest.mark.parametrize("subject", RELEASES)
def test_a_release(subject):
    assert is_release(subject, "madler/zlib")


@pytest.mark.parametrize("subject", WISHES)
def test_a_wish_stays(subject):
    assert not is_release(subject, "madler/zlib") and wish(subject, "auto") == subject


@pytest.mark.parametrize("subject", NOTHING)
def test_what_says_nothing_is_no_wish(subject):
    assert says_nothing(subject) and not is_release(subject, "madler/zlib")
    assert wish(subject, "auto") == "" and wish(subject, "subject") == subject


def test_none_is_none():
    assert wish("Use two spaces", "none") == ""
