"""Where the trials are kept: an Optuna journal in the run root, or a database by URL; one search at a time."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.storages.journal import JournalFileBackend

from gapo_lab.config import sweep_grid
from gapo_lab.errors import UserError
from gapo_lab.search import samplers
from gapo_lab.search.settings import Search
from gapo_lab.utils import atomic_files
from gapo_lab.utils.lab_command import lab_command
from gapo_lab.utils.text import type_and_line

# What makes two searches the same question: trials of one are no answers to the other.
QUESTION = "gapo_lab.question"
# Words that say where runs happen: they may change from one life of a search to the next.
WHERE = ("cluster", "run_root", "tracking", "on_finish")
# A journal's lock that stays for so long belongs to someone who was killed: writing a line takes milliseconds.
STALE_SECONDS = 1.0


def alone(search: Search) -> AbstractContextManager[None]:
    """Be the only process that leads this search. UserError where another one does."""
    atomic_files.make_folder(search.folder)
    return atomic_files.owned(
        search.folder / "search.lock",
        lambda owner: (
            f"study {search.study} is being searched by {owner}. Follow its runs with: "
            f"{lab_command('watch', search.study, root=search.root)}. Or end that process."
        ),
    )


def journal(search: Search) -> Path:
    return search.folder / "journal.log"


def address(search: Search) -> str:
    """Return what `optuna-dashboard` is given."""
    return search.storage or str(journal(search))


def open_study(search: Search) -> optuna.Study:
    """Return the search's Optuna study, made if need be. UserError where it holds the trials of another question."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name=search.study,
        storage=open_storage(search),
        directions=[objective.direction for objective in search.objectives],
        pruner=samplers.pruner(search.pruner),
        load_if_exists=True,
    )
    if QUESTION not in study.user_attrs:
        study.set_metric_names([objective.name for objective in search.objectives])
        study.set_user_attr(QUESTION, question(search))
    _check(search, study)
    return study


def look(search: Search) -> optuna.Study | None:
    """Return the search's Optuna study as it is, to read it; None where there is none. Writes nothing.

    UserError where it holds the trials of another question.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if search.storage:
            kept: optuna.storages.BaseStorage = optuna.storages.RDBStorage(search.storage, skip_table_creation=True)
        elif journal(search).exists():
            kept = optuna.storages.JournalStorage(JournalFileBackend(str(journal(search))))
        else:
            return None
        study = optuna.load_study(study_name=search.study, storage=kept)
    except Exception:  # noqa: BLE001 - a database that is away or empty; whoever searches hears of it
        return None
    if QUESTION in study.user_attrs:
        _check(search, study)
    return study


def _check(search: Search, study: optuna.Study) -> None:
    """Raise UserError where the study holds the trials of another question."""
    asked, there = question(search), study.user_attrs[QUESTION]
    if there != asked:
        name = next(name for name in asked if asked[name] != there.get(name))
        raise UserError(
            f"study {search.study} holds trials with {name}={_said(there.get(name))}, not {_said(asked[name])}. "
            "Choose another study=NAME, or give the overrides that it had"
        )
    _check_space(search, study)


def _check_space(search: Search, study: optuna.Study) -> None:
    """Raise UserError where Optuna would not take the space beside that of the trials there are."""
    there: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        there |= trial.distributions
    for axis in search.space.axes:
        try:
            check_distribution_compatibility(there.get(axis.key, axis.distribution), axis.distribution)
        except ValueError as error:
            raise UserError(
                f"study {search.study} holds trials with {_space(axis.key, there[axis.key])}, and Optuna keeps choices "
                f"and scales as the first trial had them, not {_space(axis.key, axis.distribution)}. Choose another "
                "study=NAME (runs that both share are not made again), or give what it had"
            ) from error


def _space(key: str, one: BaseDistribution) -> str:
    """`algo=grpo,dapo`, or the kind of number."""
    if isinstance(one, CategoricalDistribution):
        return f"{key}={','.join(map(str, one.choices))}"
    return f"{key} {'a whole number' if isinstance(one, IntDistribution) else 'a number'}" + (
        " by its logarithm" if getattr(one, "log", False) else ""
    )


def question(search: Search) -> dict[str, Any]:
    return {
        "words": sorted(word for word in search.space.fixed if not sweep_grid.key(word).startswith(WHERE)),
        "objectives": [f"{one.direction} {one.name}" for one in search.objectives],
        "seeds": search.seeds,
        "first seed": search.first_seed,
    }


def _said(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def open_storage(search: Search) -> optuna.storages.BaseStorage:
    """Optuna's storage; a journal that a killed process left half-written is mended. Call it inside `alone`."""
    if search.storage:
        try:
            return optuna.storages.RDBStorage(search.storage)
        except Exception as error:
            raise UserError(f"search.storage={search.storage}: {type_and_line(error)}") from error
    path = journal(search)
    _mend(path)
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def _mend(path: Path) -> None:
    """Free the journal of a killed writer's lock, and of the line that it did not finish."""
    lock = path.with_name(path.name + ".lock")
    before, until = _born(lock), time.monotonic() + STALE_SECONDS
    while before is not None and _born(lock) == before:
        if time.monotonic() > until:
            lock.unlink(missing_ok=True)
        time.sleep(0.02)
    if path.exists() and not (text := path.read_bytes()).endswith(b"\n") and text:
        with open(path, "r+b") as file:
            file.truncate(text.rfind(b"\n") + 1)


def _born(link: Path) -> float | None:
    """When the link was made, Unix seconds; None where there is none."""
    try:
        return link.lstat().st_mtime
    except FileNotFoundError:
        return None
