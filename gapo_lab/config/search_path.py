"""What Hydra must know of us: a sweeper that plans, a launcher for sweepers of others, and where sweeps lie.

Hydra takes plugins from a package called hydra_plugins only; the name is enough, there is no such folder.
Nothing here is imported before it is used: this module is loaded by every command.
"""

# (no `from __future__ import annotations`: it breaks Hydra's look at dataclasses)
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Optional

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from gapo_lab.paths import SLURM, SWEEPS

MODULE = "hydra_plugins.gapo_lab"
# Config groups that lie outside conf/, and their folders.
FOLDERS = {"sweep": SWEEPS, "cluster": SLURM}


@dataclass
class LabSweeperConf:
    """The sweeper's settings. ``params`` are axes as on the command line; a sweep file sets them."""

    _target_: str = f"{MODULE}.LabSweeper"
    params: Optional[dict[str, Any]] = None  # noqa: UP045 - Hydra reads this
    # axes that stand in for those of params where the command line has that word: {scale=nano: {model: nano}}
    instead: dict[str, Any] = field(default_factory=dict)
    # further grids of the same sweep: a name -> axes that stand in for those of params
    also: dict[str, Any] = field(default_factory=dict)
    # refuse: an invalid cell stops the whole sweep; skip: the valid ones are run
    invalid: str = "refuse"


@dataclass
class LabLauncherConf:
    """The launcher has no settings of its own: `cluster` has them."""

    _target_: str = f"{MODULE}.LabLauncher"


class LabSweeper(Sweeper):
    """`-m`: shows the plan of the grid, then starts what has to be started; with `search` in the config, searches."""

    __module__ = MODULE

    def __init__(
        self, params: Any = None, instead: Any = None, also: Any = None, invalid: str = "refuse"
    ) -> None:
        self.params, self.instead, self.also, self.invalid = params or {}, instead or {}, also or {}, invalid

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def sweep(self, arguments: list[str]) -> None:
        from gapo_lab.config.sweep_grid import make_cells
        from gapo_lab.errors import UserError
        from gapo_lab.launch import executor

        if self.invalid not in ("refuse", "skip"):
            raise UserError(f"hydra.sweeper.invalid={self.invalid}: must be refuse or skip")
        if "search" in self.config:
            from gapo_lab.search.runner import carry_out

            carry_out(list(arguments))
            return
        params = {key: _plain(value) for key, value in self.params.items()}
        cells = make_cells(list(arguments), params, _plain(self.instead), _plain(self.also))
        executor.carry_out(executor.plan_of(cells), skip_invalid=self.invalid == "skip")


class LabLauncher(Launcher):
    """Runs the jobs that a sweeper of someone else asks for, and waits for them: their best exact match is returned."""

    __module__ = MODULE

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from gapo_lab.launch import executor
        from gapo_lab.planning.plan import draft

        plan = executor.plan_of([tuple(words) for words in job_overrides])
        summaries = executor.carry_out(plan, wait=True)
        best = {run.spec.key: summaries[run.spec.key].get("best/id/em") for run in plan.runs}
        keys = [run.spec.key for run in draft([tuple(words) for words in job_overrides])]
        out = [JobReturn(overrides=list(words), status=JobStatus.COMPLETED) for words in job_overrides]
        for done, key in zip(out, keys, strict=True):
            done.return_value = best[key]
        return out


class FolderSource(FileConfigSource):
    """Config files of one group in a folder that has another name: `sweep=` in sweeps/, `cluster=` in slurm/ too."""

    __module__ = MODULE

    @staticmethod
    def scheme() -> str:
        return "gapo_lab"

    def _group(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    def _inside(self, config_path: str) -> str | None:
        """The path in the folder; None for what does not belong to the group."""
        group, _, name = config_path.partition("/")
        return name if group == self._group() else None

    def _source(self) -> FileConfigSource:
        return FileConfigSource(self.provider, f"file://{FOLDERS[self._group()]}")

    def load_config(self, config_path: str) -> ConfigResult:
        name = self._inside(config_path)
        if not name:
            raise ConfigLoadError(f"Config not found : {config_path}")
        return self._source().load_config(name)

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path == self._group() and os.path.isdir(FOLDERS[config_path])

    def is_config(self, config_path: str) -> bool:
        name = self._inside(config_path)
        return bool(name) and self._source().is_config(name)

    def list(self, config_path: str, results_filter: Any) -> Any:
        if config_path.strip("/") == "":
            return [self._group()]
        return self._source().list("", results_filter) if self.is_group(config_path) else []


def search_path() -> list[str]:
    """The addresses of the groups that lie outside conf/."""
    return [f"gapo_lab://{group}" for group, folder in FOLDERS.items() if folder.is_dir()]


def register() -> None:
    """Make all of it known to Hydra. Harmless when called again."""
    if "hydra_plugins" not in sys.modules and importlib.util.find_spec("hydra_plugins") is None:
        sys.modules["hydra_plugins"] = package = ModuleType("hydra_plugins")
        package.__path__ = []
    sys.modules[MODULE] = sys.modules[__name__]
    for plugin in (LabSweeper, LabLauncher, FolderSource):
        Plugins.instance().register(plugin)
    sys.modules["hydra_plugins"].gapo_lab = sys.modules[MODULE]
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="lab", node=LabSweeperConf, provider="gapo_lab")
    store.store(group="hydra/launcher", name="lab", node=LabLauncherConf, provider="gapo_lab")


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
