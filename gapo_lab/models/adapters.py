"""LoRA adapters: the weights of a model with those of its adapters added, and how many numbers an adapter has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# How peft calls the model inside of its own, the layer under an adapter, and the adapter's two factors.
INSIDE, UNDER = "base_model.model.", ".base_layer"
DOWN, UP = ".lora_A.default.weight", ".lora_B.default.weight"


def merged(weights: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Return the weights that the adapters make: `W + scale B A` under the names of the model without them.

    weights: whole tensors by peft's names; those of a model without adapters come back as they are.
    scale: alpha / rank.
    """
    found = {}
    for name, value in weights.items():
        if ".lora_" in name:
            continue
        layer = name.removesuffix(".weight").removesuffix(UNDER)
        if name.endswith(".weight") and f"{layer}{DOWN}" in weights:
            value = value + scale * (weights[f"{layer}{UP}"] @ weights[f"{layer}{DOWN}"])
        found[name.removeprefix(INSIDE).replace(f"{UNDER}.", ".")] = value
    return found
