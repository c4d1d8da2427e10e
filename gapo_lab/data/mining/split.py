"""Training and ID test set: by time within each repository, or by repository. Never at random: later versions of a
file hold earlier truths, and 60% of a random test set stands verbatim in training code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gapo_lab.errors import UserError

WAYS = ("time", "repository")


def in_test(
    repositories: Sequence[str], times: Sequence[str], way: str, share: float, named: Sequence[str] = ()
) -> list[bool]:
    """For each task, of one repository and time, whether it belongs to the ID test set.

    `time`: of each repository the newest `share`; tasks of one moment stay together, so it may be a few more.
    `repository`: those `named`, or when none is the smallest ones as long as they hold no more than `share` of all
    tasks, at the least one. Raises UserError for a share outside (0, 1), a name that is not there, and when
    nothing would be left to train on.
    """
    if not 0 < share < 1:
        raise UserError(f"id_share={share}: must be between 0 and 1, such as 0.07")
    if way not in WAYS:
        raise UserError(f"split={way}: must be one of {', '.join(WAYS)}")
    if way == "time":
        first = {name: _first_test_time(repositories, times, name, share) for name in dict.fromkeys(repositories)}
        test = [time >= first[name] for name, time in zip(repositories, times, strict=True)]
    else:
        held = _held_out(repositories, share, named)
        test = [name in held for name in repositories]
    if all(test):
        raise UserError(
            f"{len(test)} mined examples cannot be split by {way}; "
            + ("name a repository with more history" if way == "time" else "name two repositories or more")
        )
    return test


def _first_test_time(repositories: Sequence[str], times: Sequence[str], name: str, share: float) -> str:
    own = sorted(time for repository, time in zip(repositories, times, strict=True) if repository == name)
    return own[-max(1, round(share * len(own)))]


def _held_out(repositories: Sequence[str], share: float, named: Sequence[str]) -> set[str]:
    sizes = Counter(repositories)
    if unknown := set(named) - set(sizes):
        raise UserError(f"test repository {min(unknown)}: no examples of it; there are {', '.join(sorted(sizes))}")
    held, room = set(named), share * len(repositories)
    for name in () if named else sorted(sizes, key=lambda name: (sizes[name], name)):
        if not held or sizes[name] <= room:
            held.add(name)
            room -= sizes[name]
        else:
            break
    return held
