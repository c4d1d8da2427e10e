"""Optuna's samplers and pruners as the config names them. A sampler is made anew for each trial.

Its seed follows from the config's and the number of the trial, so that a proposal depends on nothing but the
trials before: a search that was cut off goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from hydra.errors import HydraException
from hydra.utils import get_class
from optuna.exceptions import ExperimentalWarning

from gapo_lab.errors import UserError
from gapo_lab.search.search_space import Space


class Grid(optuna.samplers.GridSampler):
    """Every combination once. Optuna's own wants to stop a loop that is not there; the search counts itself."""

    def after_trial(self, *_: Any) -> None:
        pass


def sampler(said: Mapping[str, Any], space: Space, number: int) -> optuna.samplers.BaseSampler:
    """Return the sampler that proposes trial ``number``."""
    settings = dict(said)
    kind, seed = _class(settings.pop("_target_", None), "search/sampler"), settings.pop("seed", 0)
    if issubclass(kind, optuna.samplers.GridSampler):
        settings["search_space"] = grid_of(space)
    else:
        seed = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4])
    return _made(kind, settings | {"seed": seed}, "search/sampler")


def grid_of(space: Space) -> dict[str, list[Any]]:
    """Return the values of each axis. UserError for one without an end."""
    found = {}
    for axis in space.axes:
        if axis.values is None:
            raise UserError(
                f"{axis.key}: search/sampler=grid needs values, such as {axis.key}=range(0.1,1,0.1); an interval has "
                "no end of them"
            )
        found[axis.key] = axis.values
    return found


def pruner(said: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    settings = {name: value for name, value in said.items() if value is not None}
    if said.get("max_resource", 0) is None:
        settings["max_resource"] = "auto"
    return _made(_class(settings.pop("_target_", None), "search/pruner"), settings, "search/pruner")


def _class(name: str | None, group: str) -> type:
    try:
        return get_class(name or "")
    except (ImportError, ValueError, HydraException) as error:
        raise UserError(f"{group}: _target_={name} is no class. See conf/{group}/") from error


def _made(kind: type, settings: Mapping[str, Any], group: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return kind(**settings)
        except (TypeError, ValueError) as error:
            raise UserError(f"{group}: {error}") from error
