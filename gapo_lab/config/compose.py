"""Words to configuration: Hydra over `conf/` and over verl's own tree, found where verl is installed.

Importing verl takes a quarter of a minute; finding its folder takes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config import base_configs, search_path
from gapo_lab.config.override_errors import explain
from gapo_lab.config.resolvers import register
from gapo_lab.errors import RefusedWords, UserError

# Of one command so many faults are looked for: each may take a quarter of a second.
MOST_FAULTS = 20
# What Hydra raises, and what is raised by a word that names something of the user's.
REFUSALS = (HydraException, OmegaConfBaseException, UserError)


@dataclass(frozen=True)
class Refusal:
    """Why a choice of config files is refused: a line each, and the words that these speak of; None: not known."""

    lines: tuple[str, ...]
    wrong: frozenset[str] | None

    @classmethod
    def of(cls, error: UserError, words: Sequence[str]) -> Refusal:
        rest = error.rest if isinstance(error, RefusedWords) else ()
        return cls(tuple(str(error).splitlines()), frozenset(words) - frozenset(rest) if rest else None)

    def again(self, words: Sequence[str]) -> RefusedWords:
        """Return the same error for other words with this choice."""
        return RefusedWords(
            self.lines, () if self.wrong is None else [word for word in words if word not in self.wrong]
        )


def compose_run(overrides: Sequence[str], hydra: bool = False) -> DictConfig:
    """Return the whole configuration of one run, on request with Hydra's own node, as config files set it.

    Raises RefusedWords, a line each, for words that do not exist.
    """
    register()
    search_path.refuse_shadowed(overrides)
    try:
        return base_configs.compose(overrides, hydra)
    except REFUSALS as error:
        raise refused(error, overrides) from error


def refused(error: Exception, overrides: Sequence[str]) -> RefusedWords:
    """Return an error with a line for each word that Hydra refuses: what it said first, and what it says without the
    words it spoke of."""
    left, found = list(overrides), [explain(error)]
    while (wrong := _culprits(error, left)) and len(found) < MOST_FAULTS:
        left = [word for word in left if word not in wrong]
        try:
            base_configs.compose(left)
            return RefusedWords(found, left)
        except REFUSALS as another:
            error = another
            found.append(explain(error))
    return RefusedWords(found, rest=[])  # Hydra does not say which of the words that are left is wrong


def _culprits(error: Exception, words: Sequence[str]) -> list[str]:
    """Return the words that an error of Hydra's speaks of; [] where that is not known."""
    text = str(error)
    if isinstance(error, UserError):
        return [word for word in words if text.startswith(f"{word.lstrip('+').replace(chr(34), '')}: ")]
    if isinstance(error, OverrideParseException):
        return [word for word in words if word == error.override]
    if found := re.search(r"Could not (?:override|append|delete)[^']*'([^']+)'", text):
        return [word for word in words if word.partition("=")[0].lstrip("+~") == found.group(1)]
    if found := re.search(r"Ambiguous value for argument '(.+?)'\s*\n", text):
        return [word for word in words if word == found.group(1)]
    if found := re.search(r"Could not find '([^'/]+)/([^']+)'", text):
        return [word for word in words if word.lstrip("+") == f"{found.group(1)}={found.group(2)}"]
    return []
