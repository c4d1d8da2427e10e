"""What answers prompts without verl: the network as a run builds it, and a prompt as its token ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from gapo_lab.models import smollm2


def network(path: str | Path, dtype: str, attention: str = "sdpa") -> torch.nn.Module:
    """Return the causal model that the configuration at ``path`` describes, ready to answer; its weights come later."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path)
    return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype), attn_implementation=attention).eval()


def pretrained(named: str) -> tuple[torch.nn.Module, Any]:
    """Return the model of a folder or of Hugging Face, ready to answer where it answers fastest, and its tokenizer."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    where = folder_or_id(named)
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, attn_implementation="sdpa").eval().to(device)
    return model, tokenizer_of(named)


def tokenizer_of(named: str) -> Any:
    """Return the tokenizer of a model's folder, or of Hugging Face."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder_or_id(named))


def folder_or_id(named: str) -> str:
    """Return the folder with `~` written out, where there is one; else the name, which is then Hugging Face's.

    SmolLM2's is made first, if it is not there yet (`smollm2.ensure`).
    """
    path = Path(named).expanduser()
    if path == smollm2.folder():
        return str(smollm2.ensure())
    return str(path) if path.is_dir() else named


def tokenize(tokenizer, messages: Iterable[Mapping[str, str]], words: Mapping[str, Any]) -> list[int]:
    """Chat messages to token ids through the model's chat template; ``words``: data.apply_chat_template_kwargs."""
    return tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, tokenize=True, return_dict=False, **words
    )
