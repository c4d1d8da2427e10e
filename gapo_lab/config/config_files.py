"""Which config files a choice of overrides means, and what is in them, by Hydra's own pieces.

What comes of files that ship with GAPO Lab and verl does not change while a process lives: it is read once. Files of
the user's are read anew by each `ConfigFiles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from hydra import initialize_config_dir
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from gapo_lab.config import resolvers, search_path
from gapo_lab.config.repository import Repository
from gapo_lab.paths import CONF


class File(NamedTuple):
    """A config file, and the node it goes to where that is not the one it names itself."""

    path: str
    package: str | None


class Content(NamedTuple):
    """The node that a config file goes to, and what it sets there."""

    package: str | None
    settings: dict[str, Any]


class ConfigFiles:
    """The config files on the search path. Make a new one when files of the user's have changed."""

    _shipped_choices: ClassVar[dict[tuple[str, ...], tuple[File, ...]]] = {}
    _shipped_contents: ClassVar[dict[str, Content]] = {}

    def __init__(self) -> None:
        resolvers.register()
        GlobalHydra.instance().clear()
        with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
        self._repository = Repository(loader.repository)
        self._choices: dict[tuple[str, ...], tuple[File, ...]] = {}
        self._contents: dict[str, Content] = {}

    def has(self, path: str) -> bool:
        """Return whether there is a config file `GROUP/NAME`."""
        return self._repository.config_exists(path)

    def has_group(self, group: str) -> bool:
        return self._repository.group_exists(group)

    def chosen(self, words: tuple[str, ...], overrides: Sequence[Override]) -> tuple[File, ...]:
        """Return the config files that these words choose, in the order in which they are merged.

        overrides: the words as Hydra's parser reads them. Raises what Hydra raises.
        """
        kept = self._shipped_choices if search_path.only_shipped(words) else self._choices
        if words not in kept:
            listed = create_defaults_list(
                repo=self._repository,
                config_name="config",
                overrides_list=list(overrides),
                prepend_hydra=True,
                skip_missing=False,
            )
            kept[words] = tuple(
                File(str(default.config_path), default.package)
                for default in listed.defaults
                if not default.config_path.startswith("hydra/")
            )
        return kept[words]

    def content(self, path: str) -> Content:
        """Return what the config file sets, interpolations as they are written."""
        kept = self._shipped_contents if search_path.is_shipped_file(path) else self._contents
        if path not in kept:
            loaded = self._repository.load_config(path)
            settings = OmegaConf.to_container(loaded.config, resolve=False)
            settings.pop("defaults", None)
            kept[path] = Content(loaded.header["package"], settings)
        return kept[path]
