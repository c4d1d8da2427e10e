"""Words that name something of the user's own where Hydra expects a config file: `reward=FILE.py:function`.

Each group has a function that makes the config file of such a word, and Hydra takes it as one more place on its search
path: a plan, a run, a sweep and a search read the word alike.
"""

# (no `from __future__ import annotations`: Hydra looks at annotations)
import re
from typing import Any, NamedTuple

from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

# `a/b.py`, `a/b.py:score`; `package.module:score`, `package.module`
_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<name>[A-Za-z_]\w*))?")
_MODULE = re.compile(r"(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?::(?P<name>[A-Za-z_]\w*))")
# What verl calls a reward function where nothing else is said.
USUAL_FUNCTION = "compute_score"


class UserFunction(NamedTuple):
    """A function that the user names: `path` is a Python file, or `pkg://MODULE`."""

    path: str
    name: str


def user_function(word: str) -> UserFunction | None:
    """The function that `FILE.py`, `FILE.py:NAME` or `PACKAGE.MODULE:NAME` means; None for any other word."""
    if found := _FILE.fullmatch(word):
        return UserFunction(found["path"], found["name"] or USUAL_FUNCTION)
    if found := _MODULE.fullmatch(word):
        return UserFunction(f"pkg://{found['path']}", found["name"])
    return None


def _reward(word: str) -> dict[str, Any] | None:
    function = user_function(word)
    return function and {"reward": {"name": word, "custom_reward_function": function._asdict()}}


# Group -> what makes the content of the config file (at the root) of a word, or None where the word is no such word.
MAKERS = {"reward": _reward}


class UserWords(ConfigSource):
    """The config files of such words, as `gapo_lab_words://`."""

    @staticmethod
    def scheme() -> str:
        return "gapo_lab_words"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path in MAKERS

    def is_config(self, config_path: str) -> bool:
        return self._made(config_path) is not None

    def load_config(self, config_path: str) -> ConfigResult:
        made = self._made(config_path)
        if made is None:
            raise ConfigLoadError(f"Config not found : {config_path}")
        return ConfigResult(
            config=OmegaConf.create(made),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header={"package": "_global_"},
        )

    def list(self, config_path: str, results_filter: Any) -> list[str]:
        return []

    def _made(self, config_path: str) -> dict[str, Any] | None:
        group, _, word = config_path.partition("/")
        # Hydra adds the ending where it lists what there might be
        return MAKERS[group](word.removesuffix(".yaml")) if group in MAKERS else None
