"""The keys that a configuration has: verl's and ours."""

from __future__ import annotations

from functools import cache

import yaml
from omegaconf import OmegaConf

from gapo_lab.config import base_configs, fast_yaml
from gapo_lab.config.resolvers import register
from gapo_lab.config.search_path import verl_config_folder
from gapo_lab.utils.dotted import flatten


@cache
def known_keys() -> tuple[str, ...]:
    """Every key of the default configuration, dotted: verl's and ours. A folder of one's own changes none of them."""
    register()
    return tuple(sorted(flatten(OmegaConf.to_container(base_configs.compose([]), resolve=False))))


@cache
def verl_defaults() -> dict[str, object]:
    """verl's own settings, dotted; interpolations stand as they are written."""
    text = (verl_config_folder() / "_generated_ppo_trainer.yaml").read_text(encoding="utf-8")
    return flatten(yaml.load(text, fast_yaml.loader()))
