"""Words that name something of the user's own where Hydra expects a config file: `reward=FILE.py:function`, `algo=...`.

Each group has a function that makes the config file of such a word, and Hydra takes it as one more place on its search
path: a plan, a run, a sweep and a search read the word alike.
"""

# (no `from __future__ import annotations`: Hydra looks at annotations)
import re
from importlib.metadata import entry_points
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from gapo_lab import method_registry
from gapo_lab.config.user_models import model_of
from gapo_lab.utils.python_source import source

# `a/b.py`, `a/b.py:score`; `package.module:score`, `package.module`
_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<name>[A-Za-z_]\w*))?")
_MODULE = re.compile(r"(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?::(?P<name>[A-Za-z_]\w*))")
# What verl calls a reward function where nothing else is said.
USUAL_FUNCTION = "compute_score"
# Installed packages name their methods in this group of entry points.
ENTRY_POINTS = "gapo_lab.methods"


class UserFunction(NamedTuple):
    """A function that the user names: `path` is a Python file, or `pkg://MODULE`."""

    path: str
    name: str


def user_function(word: str, usual: str = USUAL_FUNCTION) -> UserFunction | None:
    """Return the function that `FILE.py`, `FILE.py:NAME` or `PACKAGE.MODULE:NAME` means; None for any other word.

    usual: its name where the word does not say it.
    """
    if found := _FILE.fullmatch(word):
        return UserFunction(found["path"], found["name"] or usual)
    if found := _MODULE.fullmatch(word):
        return UserFunction(f"pkg://{found['path']}", found["name"])
    return None


def _reward(word: str) -> dict[str, Any] | None:
    function = user_function(word)
    return function and {"reward": {"name": word, "custom_reward_function": function._asdict()}}


def _algo(word: str) -> dict[str, Any] | None:
    """GRPO's objective with the user's estimator, or their loss on GRPO's advantages."""
    function = user_function(word, PurePosixPath(word).stem)
    if function is not None:
        return _method(function.name, function)
    found = _entry_point(word)
    return found and _method(word, found)


def _entry_point(name: str) -> UserFunction | None:
    """Return the function that an installed package offers as a method of this name."""
    if not name.isidentifier():
        return None
    for found in entry_points(group=ENTRY_POINTS, name=name):
        return UserFunction(f"pkg://{found.module}", found.attr or name)
    return None


def _method(name: str, function: UserFunction) -> dict[str, Any]:
    algo = {"name": name, "path": function.path}
    path = source(function.path)
    try:
        found = method_registry.read(path, function.name) if path else None
    except (OSError, SyntaxError, ValueError):
        found = None  # the plan says what is wrong with the file
    if found and found.kind is method_registry.Kind.LOSS:
        loss = {"actor": {"policy_loss": {"loss_mode": function.name}}}
        return {"defaults": ["/algo/grpo", "_self_"], "algo": algo, "actor_rollout_ref": loss}
    settings = dict(found.defaults) if found else {}
    if "tau" in settings:
        settings["tau"] = "${tau}"
    estimator = {"adv_estimator": function.name} | ({function.name: settings} if settings else {})
    return {"defaults": ["/algo/base/grpo", "_self_"], "algo": algo, "algorithm": estimator}


# Group -> what makes the content of the config file (at the root) of a word, or None where the word is no such word.
MAKERS = {"reward": _reward, "algo": _algo, "model": model_of}


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
