"""The arguments of `plan` and `doctor`: the overrides of a sweep, as after `gapo_lab.run -m`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gapo_lab.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class AskedGrid:
    """words: the overrides of the command line. sweeper: the settings of the sweep file. is_search: whether axes are
    searched. fair: how the settings of each method are tuned first; None without such a stage."""

    words: tuple[str, ...]
    sweeper: Mapping[str, Any]
    is_search: bool
    fair: Mapping[str, Any] | None = None

    def cells(self) -> list[tuple[str, ...]]:
        """Return the overrides of each run."""
        return self._cells(self.words, self.sweeper.get("params"))

    def cells_without_intervals(self) -> list[tuple[str, ...]]:
        """Return the same, but without the axes that are intervals: only a search can take values from these."""
        from gapo_lab.config.sweep_grid import parse, text

        def is_interval(word: str) -> bool:
            override = parse(word)
            return override.is_sweep_override() and not override.is_discrete_sweep()

        params = self.sweeper.get("params") or {}
        params = {name: value for name, value in params.items() if not is_interval(f"{name}={text(value)}")}
        return self._cells([word for word in self.words if not is_interval(word)], params)

    def _cells(self, words: Sequence[str], params: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
        from gapo_lab.config.sweep_grid import make_cells

        words = [word for word in words if not word.lstrip("+").startswith("hydra")]
        return make_cells(words, params, self.sweeper.get("instead"), self.sweeper.get("also"))


def add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config-dir", "-cd", metavar="DIR", help="a folder of your own with config groups")
    # the words of a run are pasted with its -m
    parser.add_argument("--multirun", "-m", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides, as after gapo_lab.run -m")


def of_words(words: Sequence[str]) -> AskedGrid:
    """Read the words of a command line, as `+sweep=fair`; UserError as of `read`."""
    parser = argparse.ArgumentParser()
    add_words(parser)
    return read(parser.parse_args(list(words)))


def read(asked: argparse.Namespace) -> AskedGrid:
    """Read the overrides and the sweep file that they name. UserError for an argument that is not an override."""
    from omegaconf import OmegaConf

    from gapo_lab.config import compose, search_path

    for word in asked.overrides:
        if "=" not in word and not word.startswith("~"):
            raise UserError(f"{word}: not an override. Write KEY=VALUE, as after gapo_lab.run -m")
    words = search_path.use(asked.overrides, asked.config_dir)
    asked_for = [word for word in words if word.lstrip("+").startswith(("sweep=", "hydra", "fair."))]
    if not asked_for:  # the overrides are all there is: asking Hydra would take half a second
        return AskedGrid(tuple(words), {}, is_search=False)
    config = compose.compose_run(asked_for, hydra=True)
    fair = OmegaConf.to_container(config.fair, resolve=True) if "fair" in config else None
    return AskedGrid(tuple(words), OmegaConf.to_container(config.hydra.sweeper), "search" in config, fair)
