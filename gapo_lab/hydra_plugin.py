"""The sweeper and the launcher that Hydra instantiates: `-m` shows a plan and carries it out, or searches.

Hydra takes plugins only from a package called hydra_plugins; the name is enough, there is no such folder.
What a sweep needs is imported when it starts: this module is loaded by every single run, too.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from gapo_lab.config.search_path import MODULE


class LabSweeper(Sweeper):
    """`-m`: shows the plan of the grid, then starts what has to be started; with `search` in the config, searches."""

    __module__ = MODULE

    def __init__(self, params: Any = None, instead: Any = None, also: Any = None, invalid: str = "refuse") -> None:
        self.params, self.instead, self.also, self.invalid = params or {}, instead or {}, also or {}, invalid

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def sweep(self, arguments: list[str]) -> None:
        from gapo_lab.config.sweep_grid import make_cells
        from gapo_lab.errors import UserError
        from gapo_lab.launch import executor
        from gapo_lab.search import auto_seeds, fair

        if self.invalid not in ("refuse", "skip"):
            raise UserError(f"hydra.sweeper.invalid={self.invalid}: must be refuse or skip")
        if "search" in self.config:
            from gapo_lab.search.runner import carry_out

            carry_out(list(arguments))
            return
        params = {key: _plain(value) for key, value in self.params.items()}
        cells = make_cells(list(arguments), params, _plain(self.instead), _plain(self.also))
        skip_invalid = self.invalid == "skip"
        if fair.KEY in self.config:
            fair.carry_out(
                cells, OmegaConf.to_container(self.config[fair.KEY], resolve=True), skip_invalid=skip_invalid
            )
            return
        if auto_seeds.is_asked(cells):
            auto_seeds.carry_out(cells, skip_invalid=skip_invalid)
            return
        executor.carry_out(executor.plan_of(cells), skip_invalid=skip_invalid)


class LabLauncher(Launcher):
    """Runs the jobs of another sweeper and waits for them; returns the best of each one's main measure."""

    __module__ = MODULE

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from gapo_lab.launch import executor
        from gapo_lab.planning.plan import draft
        from gapo_lab.runs import measures

        plan = executor.plan_of([tuple(words) for words in job_overrides])
        summaries = executor.carry_out(plan, wait=True)
        best = {run.key: measures.best(summaries[run.key]) for run in plan.runs}
        keys = [run.key for run in draft([tuple(words) for words in job_overrides])]
        out = [JobReturn(overrides=list(words), status=JobStatus.COMPLETED) for words in job_overrides]
        for done, key in zip(out, keys, strict=True):
            done.return_value = best[key]
        return out


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def register() -> None:
    """Make Hydra know the sweeper and the launcher. Harmless when called again."""
    if "hydra_plugins" not in sys.modules and importlib.util.find_spec("hydra_plugins") is None:
        sys.modules["hydra_plugins"] = package = ModuleType("hydra_plugins")
        package.__path__ = []
    sys.modules[MODULE] = sys.modules[__name__]
    setattr(sys.modules["hydra_plugins"], "gapo_lab", sys.modules[__name__])  # noqa: B010 - mypy knows no such attribute
    for plugin in (LabSweeper, LabLauncher):
        Plugins.instance().register(plugin)
