"""Where Hydra looks for configuration, the same for one run, a sweep, a plan and a search.

In this order: conf/, the folders a user names (`--config-dir`, `hydra.searchpath`), verl's own tree as installed,
sweeps/ and slurm/, then ./conf, ./sweeps and ./slurm of the working folder, and last words that name a file of the
user's in place of a config file (user_overrides.py). Importing verl takes a quarter of a
minute; finding its folder takes nothing.
"""

# (no `from __future__ import annotations`: it breaks Hydra's look at dataclasses)
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Optional

import hydra.conf
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

from gapo_lab.config.user_overrides import UserWords
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF, SLURM, SWEEPS
from gapo_lab.utils.setup_command import is_checkout, setup_command
from gapo_lab.utils.text import in_quotes

# Where Hydra finds the sweeper and the launcher (gapo_lab/hydra_plugin.py).
MODULE = "hydra_plugins.gapo_lab"
# Config groups that have a folder of another name outside conf/.
FOLDERS = {"sweep": SWEEPS, "cluster": SLURM}
KEY = "hydra.searchpath"
# Hydra's own config files, which come first on its search path.
HYDRAS = Path(hydra.conf.__file__).parent
# The folders that the user has named on this process's command line, as Hydra's addresses (`use`).
_named: list[str] = []


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
    """A config group in a folder of another name, `gapo_lab://GROUP:FOLDER`: `sweep=` lies in sweeps/, `cluster=` in
    slurm/."""

    @staticmethod
    def scheme() -> str:
        return "gapo_lab"

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self.group, _, folder = self.path.partition(":")
        self._files = FileConfigSource(provider, f"file://{folder}")

    def _inside(self, config_path: str) -> str | None:
        """Return the path in the folder; None for what does not belong to the group."""
        group, _, name = config_path.partition("/")
        return name if group == self.group else None

    def load_config(self, config_path: str) -> ConfigResult:
        name = self._inside(config_path)
        if not name:
            raise ConfigLoadError(f"Config not found : {config_path}")
        return self._files.load_config(name)

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path == self.group and self._files.available()

    def is_config(self, config_path: str) -> bool:
        name = self._inside(config_path)
        return bool(name) and self._files.is_config(name)

    def list(self, config_path: str, results_filter: Any) -> Any:
        if config_path.strip("/") == "":
            return [self.group]
        return self._files.list("", results_filter) if self.is_group(config_path) else []


# Files of verl's own tree that are parts of its configuration, and no choice here.
VERLS = ("data=legacy_data", "reward=reward", "model=hf_model")


def verl_config_folder() -> Path:
    """Return the folder of verl's YAML files. Raises UserError when verl is not installed."""
    found = importlib.util.find_spec("verl")
    if found is None or not found.submodule_search_locations:
        use = " and use .venv/bin/python" if is_checkout() else ""
        raise UserError(f"verl is not installed in this Python. Run `{setup_command()}`{use}")
    return Path(found.submodule_search_locations[0]) / "trainer" / "config"


class LabSearchPath(SearchPathPlugin):
    """Put everything that lies behind conf/ on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for address in _named:
            search_path.append(provider="named by the user", path=address)
        search_path.append(provider="verl", path=f"file://{verl_config_folder()}")
        for group, folder in FOLDERS.items():
            search_path.append(provider="gapo_lab", path=f"gapo_lab://{group}:{folder}")
        for address in _working_folder():
            search_path.append(provider="the working folder", path=address)
        search_path.append(provider="the user's words", path="gapo_lab_words://words")


def _working_folder() -> Iterator[str]:
    """Yield the addresses of ./conf, ./sweeps and ./slurm, as far as they are there and not the shipped ones."""
    for shipped, start in (
        (CONF, "file://"),
        *((path, f"gapo_lab://{group}:") for group, path in FOLDERS.items()),
    ):
        here = Path.cwd() / shipped.name
        if here.is_dir() and here.resolve() != shipped.resolve():
            yield f"{start}{here}"


def use(words: Iterable[str], config_dir: str | None = None) -> list[str]:
    """Make the folders that `--config-dir` and `hydra.searchpath=[...]` name those of this process's command.

    Return the other words. UserError for a folder that is not there.
    """
    _named.clear()
    rest, named = [], [] if config_dir is None else [("--config-dir ", config_dir)]
    for word in words:
        if word.lstrip("+").partition("=")[0] == KEY:
            named += [(f"{KEY}=", address) for address in _addresses(word)]
        else:
            rest.append(word)
    for option, address in named:
        if "://" not in address or address.startswith("file://"):
            folder = Path(address.removeprefix("file://")).expanduser().absolute()
            if not folder.is_dir():
                raise UserError(
                    f"{option}{address}: no such folder. Name one that holds config groups, as in algo/NAME.yaml"
                )
            address = f"file://{folder}"
        if address not in _named:
            _named.append(address)
    return rest


def _addresses(word: str) -> list[str]:
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException as error:
        raise UserError(f"{word}: cannot be read. Write '{KEY}=[FOLDER,...]'") from error
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UserError(f"{word}: must be a list of folders. Write '{KEY}=[FOLDER,...]'")
    return [str(one) for one in value]


def as_words() -> tuple[str, ...]:
    """Return the override that names the same folders again, for whoever repeats a run; none where none are named."""
    if not _named:
        return ()
    return (f"{KEY}=[{','.join(map(in_quotes, _named))}]",)


def refuse_shadowed(words: Sequence[str]) -> None:
    """Raise UserError for a word that chooses a file which lies both among ours and in a folder of the user's.

    Hydra would silently take ours. Nor for one that chooses a part of verl's configuration.
    """
    for word in words:
        group, _, name = word.lstrip("+").partition("=")
        if word in VERLS:
            raise UserError(f"{word}: is a part of verl's own configuration, and no {group} to choose")
        if not group or "." in group or not (shipped := _shipped(group, name)):
            continue
        if name.startswith("."):
            raise UserError(
                f"{word}: would be read as {group}={shipped.stem}, which comes with GAPO Lab. Give the whole path"
            )
        for address in (*_named, *_working_folder()):
            mine = _file(address, group, name)
            if mine and mine.is_file() and mine.resolve() != shipped.resolve():
                raise UserError(f"{word}: {mine} has the name of a file that comes with GAPO Lab. Give it another name")


def only_shipped(words: Sequence[str]) -> bool:
    """Whether these words, each of which chooses a config file, choose none but those that come with GAPO Lab.

    False where the user has named folders: they come before verl's own files.
    """
    chosen = (word.lstrip("+").partition("=") for word in words)
    return not _named and all(_shipped(group, name) for group, _, name in chosen)


@cache
def _comes_with_us(config_path: str) -> bool:
    group, _, name = config_path.partition("/")
    places = [HYDRAS / config_path, CONF / config_path, verl_config_folder() / config_path]
    places += [FOLDERS[group] / name] if group in FOLDERS else []
    return any(path.with_name(f"{path.name}.yaml").is_file() for path in places)


def is_shipped_file(config_path: str) -> bool:
    """Whether `GROUP/NAME` comes with GAPO Lab, verl or Hydra, and no folder of the user's is looked at before."""
    return not _named and _comes_with_us(config_path.removesuffix(".yaml"))


def _shipped(group: str, name: str) -> Path | None:
    places = [CONF / group / f"{name}.yaml"]
    places += [FOLDERS[group] / f"{name}.yaml"] if group in FOLDERS else []
    return next((path for path in places if path.is_file()), None)


def _file(address: str, group: str, name: str) -> Path | None:
    """Where a folder on the search path would have the file of this word."""
    scheme, _, path = address.partition("://")
    if scheme == "file":
        return Path(path) / group / f"{name}.yaml"
    if scheme == "gapo_lab" and path.partition(":")[0] == group:
        return Path(path.partition(":")[2]) / f"{name}.yaml"
    return None


def register() -> None:
    """Make Hydra know these folders, and the settings of our sweeper and launcher. Harmless when called again."""
    Plugins.instance().register(LabSearchPath)
    Plugins.instance().register(FolderSource)
    Plugins.instance().register(UserWords)
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="lab", node=LabSweeperConf, provider="gapo_lab")
    store.store(group="hydra/launcher", name="lab", node=LabLauncherConf, provider="gapo_lab")
