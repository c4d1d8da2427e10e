"""What answers prompts without verl: the network as a run builds it, and a prompt as its token ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch


def network(path: str | Path, dtype: str, attention: str = "sdpa") -> torch.nn.Module:
    """Return the causal model that the configuration at ``path`` describes, ready to answer; its weights come later."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path)
    return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype), attn_implementation=attention).eval()


def tokenize(tokenizer, messages: Iterable[Mapping[str, str]], words: Mapping[str, Any]) -> list[int]:
    """Chat messages to token ids through the model's chat template; ``words``: data.apply_chat_template_kwargs."""
    return tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, tokenize=True, return_dict=False, **words
    )
