"""Where Hydra looks for configuration: conf/, verl's own tree as installed, sweeps/ and slurm/.

Importing verl takes a quarter of a minute; finding its folder takes nothing.
"""

# (no `from __future__ import annotations`: it breaks Hydra's look at dataclasses)
import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

from gapo_lab.errors import UserError
from gapo_lab.paths import SLURM, SWEEPS

# Where Hydra finds the sweeper and the launcher (gapo_lab/hydra_plugin.py).
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


class FolderSource(FileConfigSource):
    """Config files of one group in a folder that has another name: `sweep=` in sweeps/, `cluster=` in slurm/ too."""

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


def verl_config_folder() -> Path:
    """The folder of verl's YAML files. Raises UserError when verl is not installed."""
    found = importlib.util.find_spec("verl")
    if found is None:
        raise UserError("verl is not installed in this Python; run `make setup` and use .venv/bin/python")
    return Path(found.submodule_search_locations[0]) / "trainer" / "config"


class LabSearchPath(SearchPathPlugin):
    """Put verl's configuration folder, the sweeps and the clusters behind conf/ on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="verl", path=f"file://{verl_config_folder()}")
        for group, folder in FOLDERS.items():
            if folder.is_dir():
                search_path.append(provider="gapo_lab", path=f"gapo_lab://{group}")


def register() -> None:
    """Make Hydra know these folders, and the settings of our sweeper and launcher. Harmless when called again."""
    Plugins.instance().register(LabSearchPath)
    Plugins.instance().register(FolderSource)
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="lab", node=LabSweeperConf, provider="gapo_lab")
    store.store(group="hydra/launcher", name="lab", node=LabLauncherConf, provider="gapo_lab")
