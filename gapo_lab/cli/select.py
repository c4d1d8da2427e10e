"""Which runs an argument of a command means: a key, its first characters, a study, or all."""

from __future__ import annotations

from pathlib import Path

from gapo_lab.errors import UserError
from gapo_lab.runs import studies
from gapo_lab.runs.folder import RunFolder
from gapo_lab.runs.run_root import RunRoot, ahead
from gapo_lab.utils.key_names import did_you_mean
from gapo_lab.utils.lab_command import lab_command


def named(runs: RunRoot, word: str | None) -> list[RunFolder]:
    """Return the runs that an argument on the command line means: those of a study, or one by its key. Without an
    argument, or with ``all``, return all runs.

    UserError, with the nearest name, if there are runs but the argument means none of them.
    """
    every = runs.folders()
    if word in (None, "all") or not every:
        return every
    return of_study(every, str(word)) or [_one_of(runs.path, every, str(word))]


def chosen(runs: RunRoot, word: str | None) -> list[str]:
    """Return the keys of the runs that an argument on the command line means. UserError if there are none."""
    keys = [folder.key for folder in named(runs, word)]
    if not keys:
        raise UserError(f"no runs in {runs.path} (start one with python -m gapo_lab.run)")
    return keys


def of_study(folders: list[RunFolder], study: str) -> list[RunFolder]:
    """Return the runs of ``study``, also those it shares with another. A run without a readable spec is in no study."""
    ahead(folders, _study)
    shared = set(studies.of_study(folders[0].path.parent, study)) if folders else set()
    return [folder for folder in folders if folder.key in shared or _study(folder) == study]


def _study(folder: RunFolder) -> str | None:
    try:
        return folder.study
    except UserError:
        return None


def find_one(root: Path, key: str) -> RunFolder:
    """Return the run whose key is, or begins with, ``key``. UserError, with the nearest name, if there is none."""
    with RunRoot(root) as runs:
        return RunFolder(_one_of(root, runs.folders(), key).path)


def _one_of(root: Path, folders: list[RunFolder], key: str) -> RunFolder:
    found = [f for f in folders if f.key == key] or [f for f in folders if f.key.startswith(key)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{key} is the beginning of {len(found)} runs ({', '.join(f.key for f in found[:5])}). Give more of it"
        )
    words = [f.key for f in folders] + [study for study in map(_study, folders) if study]
    near = did_you_mean(key, words)
    raise UserError(
        f"no study or run {key} in {root}: {near}{' ' if near else ''}"
        f"See all runs with: {lab_command('status', root=root)}"
    )
