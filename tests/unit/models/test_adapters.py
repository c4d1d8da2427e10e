"""Adapters merged by us are those that peft merges."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from gapo_lab.models.adapters import merged
from gapo_lab.paths import NANO

# transformers and a model take seconds to load
pytestmark = pytest.mark.slow


def test_merged_weights_are_pefts():
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_pretrained(NANO / "checkpoint")
    adapted = get_peft_model(network, LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", bias="none"))
    for name, value in adapted.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(value)
    found = merged({name: value.detach().clone() for name, value in adapted.state_dict().items()}, 12 / 4)
    right = adapted.merge_and_unload().state_dict()
    assert found.keys() == right.keys()
    for name, value in right.items():
        torch.testing.assert_close(found[name], value)


def test_a_model_without_adapters_stays():
    weights = {"model.embed_tokens.weight": torch.ones(2), "base.lora_like.weight": torch.ones(1)}
    assert merged({"model.embed_tokens.weight": torch.ones(2)}, 1.0)["model.embed_tokens.weight"].equal(
        weights["model.embed_tokens.weight"]
    )
