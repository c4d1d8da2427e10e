"""The settings of a search, as its words and files say: `search.*`. Checked; torch-free; Optuna is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config import compose, override_errors, sweep_grid
from gapo_lab.data import dev_set
from gapo_lab.errors import UserError
from gapo_lab.paths import SHIPPED_MODULE
from gapo_lab.runs import trial_record
from gapo_lab.search.objective import Objective
from gapo_lab.search.search_space import Space, make_space
from gapo_lab.utils.value_rules import problem

COUNT = "whole [1, inf)"
VALUES = {
    "trials": COUNT,
    "parallel": COUNT,
    "seeds": COUNT,
    "finalists": "whole [0, inf)",
    "final_seeds": COUNT,
    "failures": COUNT,
    "every": "(0, inf)",
}


@dataclass(frozen=True)
class Search:
    """One search: what is asked, and how. ``sampler`` and ``pruner`` are Hydra nodes with a `_target_`."""

    study: str
    root: Path
    space: Space
    first_seed: int
    objectives: tuple[Objective, ...]
    watch: str
    trials: int
    parallel: int
    seeds: int
    finalists: int
    final_seeds: int
    failures: int
    every: float
    storage: str | None
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]
    max_parallel: int
    tracked: bool

    @property
    def single(self) -> bool:
        return len(self.objectives) == 1

    @property
    def folder(self) -> Path:
        """Where its journal, its lock and its result are."""
        return trial_record.folder(self.root, self.study)

    def record(self, trial: int, values: Mapping[str, Sequence[float]]) -> None:
        """Record the runs of a trial for whoever reads the run folders (`trial_record.add`)."""
        trial_record.add(self.root, self.study, [one.name for one in self.objectives], trial, values)

    def seeds_of(self, count: int) -> list[int]:
        return list(range(self.first_seed, self.first_seed + count))


def make_search(words: Sequence[str]) -> Search:
    """Return the search of a command line. UserError, one line, for what cannot be."""
    config = compose.compose_run(_choosing(words), hydra=True)
    try:
        said = OmegaConf.to_container(config.search, resolve=True)
        sweeper = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(override_errors.explain(error)) from error
    space, first_seed = make_space(words, sweeper.get("params"), sweeper.get("instead"))
    for name, rule in VALUES.items():
        if wrong := problem(said[name], rule):
            raise UserError(f"search.{name}={said[name]}: {wrong}")
    objectives = _objectives(said["maximize"], True) + _objectives(said["minimize"], False)
    if not objectives:
        raise UserError("search.maximize and search.minimize are empty. Give one of them, such as final/dev/em")
    _has_dev(config, objectives)
    _says_what_it_is_about(config, objectives)
    names = [one.name for one in objectives]
    if len(set(names)) < len(names):
        raise UserError(f"search: an objective is there twice. Name each once ({', '.join(names)})")
    numbers = {name: said[name] for name in (*VALUES, "storage", "sampler", "pruner")}
    return Search(
        study=config.study,
        root=Path(config.run_root),
        space=space,
        first_seed=first_seed,
        objectives=objectives,
        watch=said["watch"] or objectives[0].metric,
        max_parallel=config.cluster.max_parallel,
        tracked=config.tracking == "live",
        **numbers,
    )


def _has_dev(config: Any, objectives: Sequence[Objective]) -> None:
    """Raise UserError where dev is to choose and the data have none."""
    for one in objectives:
        if one.metric.startswith("val/dev/") and (why := dev_set.lack(config.data)):
            measure = one.metric.removeprefix("val/dev/")
            raise UserError(
                f"search: {one.name} is measured on a dev set, and {why}; or let the test set choose, which flatters: "
                f"search.maximize=[final/id/{measure}]"
            )


def _says_what_it_is_about(config: Any, objectives: Sequence[Objective]) -> None:
    """Raise UserError where exact match is the objective only because nobody said what one's own reward returns."""
    function = config.reward.custom_reward_function.path
    if config.metric is not None or str(function).startswith(SHIPPED_MODULE):
        return
    for one in objectives:
        if one.metric.startswith("val/") and one.metric.endswith("/em"):
            raise UserError(
                f"search: {one.name}: reward={config.reward.name} need not return em. Say which of its numbers the "
                "search is about: metric=acc, metric=score, ..."
            )


def _choosing(words: Sequence[str]) -> list[str]:
    """Return the words that do not span anything: those that Hydra composes without a sweeper."""
    return [word for word in words if not sweep_grid.parse(word).is_sweep_override()]


def _objectives(said: Any, largest: bool) -> tuple[Objective, ...]:
    names = [said] if isinstance(said, str) else said or []
    return tuple(Objective(str(name), largest) for name in names)
