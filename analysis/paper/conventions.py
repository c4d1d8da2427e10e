"""How the paper orders and names methods and models, and what it compares with what.

A method or model that is not here comes last, under its own name: a normal study of one's own has such.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

METHODS = {
    "gmpo": "GMPO",
    "krpo": "KRPO",
    "qae": "QAE",
    "grpo": "GRPO",
    "gapo_grpo": "GAPO (G)",
    "gapo_grpo_median_std": "GAPO (G) (median, std)",
    "gapo_grpo_mean_div": "GAPO (G) (mean, div)",
    "dapo": "DAPO",
    "gapo_dapo": "GAPO (D)",
    "gapo_dapo_median_std": "GAPO (D) (median, std)",
    "gapo_dapo_mean_div": "GAPO (D) (mean, div)",
    "gapo_centred": "GAPO (G), centred",
    "grpo_shifted": "GRPO, shifted",
    "median": "Median",
    "trimmed_mean": "Trimmed mean",
    "huber": "Huber",
    "rank": "Rank",
    "shrinkage": "Shrinkage",
    "group_aware": "GAPO (group-aware)",
    "dr_grpo": "Dr. GRPO",
    "gspo": "GSPO",
    "rloo": "RLOO",
    "opo": "OPO",
    "reinforce_pp": "REINFORCE++",
    "grpo_passk": "GRPO-passk",
    "cispo": "CISPO",
    "redit": "ReDit",
    "gdpo": "GDPO",
}
# What a report's own methods are called, as their runs say it.
_labels: dict[str, str] = {}
ABLATIONS = tuple(algo for algo in METHODS if algo.endswith(("_median_std", "_mean_div")))
# The paper's methods beside its baselines and GAPO: they come first in its tables.
OTHERS = ("gmpo", "krpo", "qae")
# What stands under which baseline: (baseline, method).
PAIRS = (("grpo", "gapo_grpo"), ("dapo", "gapo_dapo"))
# Each says which half of GAPO acts: compared with both.
CONTROLS = ("gapo_centred", "grpo_shifted")
TAU = 0.5  # the paper's
# The studies of sweeps/ that are the paper's experiments: their tables and figures have its numbers.
STUDIES = frozenset({"paper", "table2", "table4", "table5", "tau"})


def baselines(algo: str) -> tuple[str, ...]:
    """Return what a method is compared with: the baseline it builds on, and for a variant also GAPO itself."""
    if algo in CONTROLS:
        return PAIRS[0]
    for baseline, method in PAIRS:
        if algo == baseline:
            return ()
        if algo.startswith(f"{method}_"):
            return (baseline, method)
        if algo == method or (algo, baseline) == ("qae", "dapo"):
            return (baseline,)
    return ("grpo",)


def on_dapo(algo: str) -> bool:
    """Whether it is DAPO or a GAPO on DAPO's settings."""
    baseline, method = PAIRS[1]
    return algo in (baseline, method) or algo.startswith(f"{method}_")


@dataclass(frozen=True)
class Model:
    """``name`` is the column's head, ``size`` what stands below it."""

    name: str
    size: str


MODELS = {
    "mistral_7b": Model("Mistral-v0.3", "7B"),
    "qwen2_5_3b": Model("Qwen2.5", "3B"),
    "qwen2_5_7b": Model("Qwen2.5", "7B"),
    "qwen3_4b": Model("Qwen3*", "4B"),
    "qwen3_8b": Model("Qwen3*", "8B"),
    "qwen_coder_3b": Model("Qwen2.5-Coder", "3B"),
    "qwen_coder_7b": Model("Qwen2.5-Coder", "7B"),
    "qwen_coder_14b": Model("Qwen2.5-Coder", "14B"),
    "deepseek_coder_6_7b": Model("DeepSeek-Coder", "6.7B"),
    "smollm2_135m": Model("SmolLM2", "135M"),
    "nano": Model("nano", "0.6M"),
    "nano_large": Model("nano", "1.1M"),
}


def model(name: str) -> Model:
    return MODELS.get(name, Model(name, ""))


def model_title(name: str) -> str:
    """One line for a panel or a row: ``Qwen2.5-Coder-7B``."""
    found = model(name)
    return f"{found.name.rstrip('*')}-{found.size}" if found.size and name in MODELS else found.name


def model_order(name: str) -> tuple[int, str]:
    known = list(MODELS)
    return (known.index(name) if name in MODELS else len(known), name)


def take_labels(said: Iterable[tuple[str, str | None]]) -> None:
    """Call methods that are not the paper's as their runs say: (algo, label). One with two labels keeps its name."""
    found: dict[str, set[str]] = {}
    for algo, label in said:
        if label:
            found.setdefault(algo, set()).add(label)
    _labels.clear()
    _labels.update({algo: labels.pop() for algo, labels in found.items() if len(labels) == 1})


def method_order(algo: str) -> tuple[int, str]:
    known = list(METHODS)
    return (known.index(algo) if algo in METHODS else len(known), algo)


def method(algo: str, tau: float | None = None, rollouts: int | None = None) -> str:
    """``GAPO (D)``, and with another tau than the paper's ``GAPO (D) tau=0.1 (k=1)``."""
    label = METHODS.get(algo) or _labels.get(algo, algo)
    if tau is None or tau == TAU:
        return label
    return f"{label} {tau_label(tau, rollouts)}"


def tau_label(tau: float, rollouts: int | None) -> str:
    """``tau=0.1 (k=1)``: k is how many of the group's rewards the densest interval holds."""
    k = f" (k={window(tau, rollouts)})" if rollouts else ""
    return f"τ={tau:g}{k}"


def window(tau: float, rollouts: int) -> int:
    """k = ceil(G tau), as ``gapo_lab.methods.gapo`` has it."""
    return max(1, math.ceil(rollouts * tau - 1e-9))


def rollouts(params: Mapping[str, str]) -> int | None:
    text = params.get("rollouts", "")
    return int(text) if text.isdigit() else None
