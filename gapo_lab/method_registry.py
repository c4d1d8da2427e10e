"""Which methods there are, ours and verl's.

Ours are read from the files of `gapo_lab/methods/`, without importing torch; verl's are listed, and a test holds the
lists against verl.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from gapo_lab.paths import METHODS
from gapo_lab.utils.value_rules import Rule

# verl's own, as in verl.trainer.ppo.core_algos; those that need more than a reward a rollout are left out
VERL_ESTIMATORS = (
    *("grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo", "gpg"),
    *("reinforce_plus_plus", "reinforce_plus_plus_baseline"),
)
NOT_HERE = {
    "gae": "needs a critic",
    "remax": "needs a greedy rollout of every prompt, which verl's v1 trainer does not make",
    "gdpo": "does not get the parts of the reward from verl's v1 trainer; take algorithm.adv_estimator=exact_gdpo",
    "optimal_token_baseline": "needs the sum of squared probabilities of every token",
    "tir_optimal_token_baseline": "needs the sum of squared probabilities of every token",
}
VERL_LOSSES = (
    *("vanilla", "gspo", "sapo", "gpg", "clip_cov", "kl_cov", "geo_mean", "dro", "cispo", "bypass_mode"),
    *("dppo_tv", "dppo_kl"),
)


class Kind(StrEnum):
    """An estimator takes rewards and gives advantages; a loss takes log-probabilities."""

    ESTIMATOR = "estimator"
    LOSS = "loss"


@dataclass(frozen=True)
class Method:
    """A file `gapo_lab/methods/NAME.py` with a function NAME. ``rules``: its literal `SETTINGS`."""

    name: str
    kind: Kind
    rules: Mapping[str, Rule]

    @property
    def verl_name(self) -> str:
        """Its name in verl: its own, or `exact_...` where verl has an estimator of that name."""
        is_taken = self.kind is Kind.ESTIMATOR and self.name in (*VERL_ESTIMATORS, *NOT_HERE)
        return f"exact_{self.name}" if is_taken else self.name


@cache
def methods() -> tuple[Method, ...]:
    """Every method of ours, by name. A file without a function of its own name is not one."""
    found = (_read(path) for path in sorted(METHODS.glob("*.py")))
    return tuple(method for method in found if method)


def estimators() -> dict[str, Method]:
    """Our estimators by their name in verl."""
    return {method.verl_name: method for method in methods() if method.kind is Kind.ESTIMATOR}


def losses() -> dict[str, Method]:
    """Our losses by their name in verl."""
    return {method.verl_name: method for method in methods() if method.kind is Kind.LOSS}


def _read(path: Path) -> Method | None:
    kind, rules = None, {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == path.stem:
            kind = Kind.ESTIMATOR if node.args.args[0].arg == "rewards" else Kind.LOSS
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SETTINGS":
            rules = ast.literal_eval(node.value)
    return Method(path.stem, kind, rules) if kind else None
