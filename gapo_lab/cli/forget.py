"""`gapo_lab forget`: removes runs that ended before their first step, and says what it keeps."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from gapo_lab.cli.select import chosen
from gapo_lab.launch import run_states
from gapo_lab.runs import forget as folders
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.naming import run_name
from gapo_lab.runs.run_root import RunRoot
from gapo_lab.runs.status import NEW, RunStatus, State
from gapo_lab.utils import atomic_files
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.text import several

SHOWN = 3  # keys named one by one


@dataclass(frozen=True)
class Holding:
    """Why a run is kept; '' if removing it loses nothing. ``removable``: --with-results removes it anyway."""

    why: str
    removable: bool = False


def forget(asked: argparse.Namespace) -> int:
    """Remove runs that ended without result, metrics and checkpoint; with --with-results, all that have no result."""
    with RunRoot(asked.root) as runs:
        keys = chosen(runs, asked.study)
    with atomic_files.locked(asked.root / ".submit.lock"):  # nobody claims a run meanwhile
        states = run_states.read(asked.root, keys)
        held = {key: _holding(RunFolder(asked.root / key), states.get(key, NEW)) for key in keys}
        gone = [key for key, one in held.items() if not one.why or (one.removable and asked.with_results)]
        lost = [
            f"{key} {run_name(RunFolder(asked.root / key).spec)}, which had {held[key].why}"
            for key in gone
            if held[key].why
        ]
        if not asked.dry_run:
            folders.forget(asked.root, gone)
    print(f"{'would remove' if asked.dry_run else 'removed'} {several(len(gone), 'run')}")
    for text in lost:
        print(f"  {text}")
    _say_kept({key: one for key, one in held.items() if key not in gone})
    return 0


def _holding(folder: RunFolder, status: RunStatus) -> Holding:
    if status.is_active:
        return Holding(f"{status.state}; {lab_command('cancel', root=folder.path.parent)} ends it")
    if status.state is State.FINISHED:
        return Holding("a result")
    return Holding(folders.holds(folder), removable=True)


def _say_kept(kept: Mapping[str, Holding]) -> None:
    reasons: dict[str, list[str]] = {}
    for key, one in kept.items():
        reasons.setdefault(one.why, []).append(key)
    for why, keys in reasons.items():
        names = ", ".join([*keys[:SHOWN], *(["..."] if len(keys) > SHOWN else [])])
        print(f"kept {several(len(keys), 'run')} ({names}): {why}")
    if any(one.removable for one in kept.values()):
        print("with --with-results, unfinished runs that have metrics or a checkpoint are removed too")
