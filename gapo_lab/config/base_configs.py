"""Hydra's composition, with the part that only the shipped config files decide done once while a process lives.

Hydra takes half a second, nearly all of it for files that no override changes. What is set by overrides is set by
Hydra's own function on a copy.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, open_dict

from gapo_lab.config import search_path
from gapo_lab.config.repository import Repository
from gapo_lab.paths import CONF

# What the overrides that choose a config file come to: unpickling is the fastest copy.
_bases: dict[tuple[str, ...], bytes] = {}


def compose(words: Sequence[str], with_hydra: bool = False) -> DictConfig:
    """Return what Hydra composes of these overrides, and raise what it raises.

    with_hydra: keep Hydra's own node. It has what config files set there, not always what Hydra notes of the overrides.
    """
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        overrides = OverridesParser.create().parse_overrides(list(words))
        loader = GlobalHydra.instance().config_loader()
        loader.repository = Repository(loader.repository)
        has_group = loader.repository.group_exists
        values = [one for one in overrides if not has_group(one.key_or_group)]
        chosen = tuple(one.input_line for one in overrides if has_group(one.key_or_group))
        unusual = any(one.is_sweep_override() or one.key_or_group.startswith("hydra") for one in overrides)
        if unusual or not search_path.only_shipped(chosen):
            return hydra.compose("config", overrides=list(words), return_hydra_config=with_hydra)
        if chosen not in _bases:
            _bases[chosen] = pickle.dumps(hydra.compose("config", overrides=list(chosen), return_hydra_config=True))
        config = pickle.loads(_bases[chosen])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
    if not with_hydra:
        with open_dict(config):
            del config["hydra"]
    return config
