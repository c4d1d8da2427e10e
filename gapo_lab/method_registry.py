"""Which methods there are, ours, verl's and the user's.

Ours are read from the files of `gapo_lab/methods/`, and the user's from the files that runs name, without importing
torch; verl's are listed, and a test holds the lists against verl.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from gapo_lab.paths import METHODS
from gapo_lab.utils.python_source import source
from gapo_lab.utils.value_rules import Rule

# verl's own, as in verl.trainer.ppo.core_algos; those that need more than a reward a rollout are left out
VERL_ESTIMATORS = (
    *("grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo", "gpg"),
    *("reinforce_plus_plus", "reinforce_plus_plus_baseline"),
)
NOT_HERE = {
    "gae": "needs a critic",
    "remax": "needs a greedy rollout of every prompt, which verl's v1 trainer does not make",
    "gdpo": "does not get the parts of the reward from verl's v1 trainer. Take algorithm.adv_estimator=exact_gdpo",
    "optimal_token_baseline": "needs the sum of squared probabilities of every token",
    "tir_optimal_token_baseline": "needs the sum of squared probabilities of every token",
}
VERL_LOSSES = (
    *("vanilla", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "geo_mean", "dro", "cispo", "bypass_mode"),
    *("dppo_tv", "dppo_kl"),
)

# Parameters of an estimator that are facts of the batch, and no settings.
FACTS = ("order", "extras", "draw")


class Kind(StrEnum):
    """An estimator takes rewards and gives advantages; a loss takes log-probabilities."""

    ESTIMATOR = "estimator"
    LOSS = "loss"


# What a function is called with, by place.
CALLED_WITH = {
    Kind.ESTIMATOR: ("rewards", "groups"),
    Kind.LOSS: ("log_prob", "old_log_prob", "advantages", "mask", "clip_low", "clip_high"),
}


@dataclass(frozen=True)
class Method:
    """A function NAME, of ours in `gapo_lab/methods/NAME.py`.

    ``rules``: the literal `SETTINGS` of its file. ``defaults``: its settings with the value that the function gives
    them, as far as these are literals. ``asks``: which facts of the batch it is given, of FACTS. ``first``: its first
    parameter. ``takes``: how many values it takes by place. ``needs``: what it cannot do without, beside what it is
    called with (CALLED_WITH) and facts.
    """

    name: str
    kind: Kind
    rules: Mapping[str, Rule]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    first: str = ""
    takes: float = 0
    needs: tuple[str, ...] = ()

    @property
    def verl_name(self) -> str:
        """Its name in verl: its own, or `exact_...` where verl has an estimator of that name."""
        is_taken = self.kind is Kind.ESTIMATOR and self.name in (*VERL_ESTIMATORS, *NOT_HERE)
        return f"exact_{self.name}" if is_taken else self.name


@cache
def methods() -> tuple[Method, ...]:
    """Every method of ours, by name. A file without a function of its own name is not one."""
    found = (read(path, path.stem) for path in sorted(METHODS.glob("*.py")))
    return tuple(method for method in found if method)


def is_taken(name: str) -> bool:
    """Whether a method of verl's or of ours has this name in verl."""
    return name in (*VERL_ESTIMATORS, *NOT_HERE, *VERL_LOSSES) or name in estimators() or name in losses()


def estimators() -> dict[str, Method]:
    """Our estimators by their name in verl."""
    return {method.verl_name: method for method in methods() if method.kind is Kind.ESTIMATOR}


def losses() -> dict[str, Method]:
    """Our losses by their name in verl."""
    return {method.verl_name: method for method in methods() if method.kind is Kind.LOSS}


def user_methods(address: str | None, *names: str) -> dict[str, Method]:
    """Return the methods among ``names`` that the file of the user's at ``address`` defines, and verl or we do not.

    address: `FILE.py` or `pkg://PACKAGE.MODULE`, the run's `algo.path`. {} where it is None or cannot be read.
    """
    path = source(address) if address else None
    out = {}
    for name in names if path else ():
        try:
            found = read(path, name) if path else None
        except (OSError, SyntaxError, ValueError):
            return {}
        if found and not is_taken(name):
            out[name] = found
    return out


def read(path: Path, name: str) -> Method | None:
    """Return the method that the function ``name`` of a file is; None where the file has no such function.

    Raises OSError, or SyntaxError or ValueError for what is no Python.
    """
    found, rules = None, {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            found = node
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SETTINGS":
            rules = ast.literal_eval(node.value)
    if found is None:
        return None
    words = [*found.args.posonlyargs, *found.args.args]
    kind = Kind.ESTIMATOR if words and words[0].arg == "rewards" else Kind.LOSS
    asks = tuple(one.arg for one in (*words, *found.args.kwonlyargs) if one.arg in FACTS)
    defaults = _defaults(found) if kind is Kind.ESTIMATOR else {}
    first = words[0].arg if words else ""
    takes = math.inf if found.args.vararg else len(words)
    return Method(name, kind, rules, defaults, asks, first, takes, _needs(found, len(CALLED_WITH[kind])))


def _needs(function: ast.FunctionDef, given: int) -> tuple[str, ...]:
    """Return the parameters without a default after the first ``given``, facts of the batch left out."""
    args = function.args
    words = [*args.posonlyargs, *args.args]
    needed = words[given : len(words) - len(args.defaults)]
    needed += [word for word, value in zip(args.kwonlyargs, args.kw_defaults, strict=True) if value is None]
    return tuple(word.arg for word in needed if word.arg not in FACTS)


def _defaults(function: ast.FunctionDef) -> dict[str, Any]:
    """Return the literal defaults of a function's arguments, by name; what is given as a fact of the batch is no
    setting."""
    given = function.args
    words = [*given.posonlyargs, *given.args]
    pairs = [*zip(words[len(words) - len(given.defaults) :], given.defaults, strict=True)]
    pairs += [(word, value) for word, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value]
    out = {}
    for word, value in pairs:
        try:
            out[word.arg] = ast.literal_eval(value)
        except ValueError:  # an expression: the function keeps it to itself
            continue
    return {name: value for name, value in out.items() if name not in FACTS}
