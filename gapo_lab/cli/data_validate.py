"""`python -m gapo_lab.data validate`: what is wrong with files of rows, and whether a model's limits hold them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapo_lab.data.user_rows import sets
from gapo_lab.errors import UserError
from gapo_lab.utils.text import first_line


def command(asked: argparse.Namespace) -> int:
    """Print the problems, or that there are none; exit code 1 where there are some."""
    from gapo_lab.data import validate
    from gapo_lab.data.tasks import parquet_columns
    from gapo_lab.data.user_rows import files

    paths = parquet_columns.find(asked.path)
    measure = measure_of(asked.model) if asked.model else None
    limits = (asked.max_prompt_length, asked.max_response_length)
    problems = validate.validate(paths, measure, limits, keys(asked))
    for problem in problems:
        print(problem)
    if not problems:
        rows = files.count(paths)
        print(f"{', '.join(path.name for path in paths)}: {rows:,} rows, nothing wrong")
    return 1 if problems else 0


def keys(asked: argparse.Namespace) -> dict[str, str]:
    """Return the names of the columns, by the names that `data=parquet` expects."""
    return {key: getattr(asked, key) for key in sets.USUAL}


def measure_of(model: str):
    """Return what turns a row's messages and its truth into their lengths in tokens of a model, named as `model=`
    names it. Nothing is downloaded. UserError where the model, or its tokenizer, is not on this machine."""
    folder, words = _model(model)
    from transformers import AutoTokenizer

    from gapo_lab.data.tokenizer_check import check_tokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--model {model}: no tokenizer in {folder} ({first_line(error)}). Copy the model's tokenizer into the "
            "folder"
        ) from None
    check_tokenizer(tokenizer, model)
    words = {"tokenize": True, "return_dict": False, **words}

    def measure(prompt: list[dict[str, str]], truth: str) -> tuple[int, int]:
        rendered = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, **words)
        # one token of an answer is its end mark; tests are no answer
        size = len(tokenizer.encode(truth, add_special_tokens=False)) + 1 if isinstance(truth, str) else 0
        return len(rendered), size

    return measure


def _model(named: str) -> tuple[Path, Mapping[str, Any]]:
    """Return the folder of a model on this machine, and what a run passes to its chat template."""
    folder = Path(named).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():  # its tokenizer may be there
        return folder, {}
    from gapo_lab.config.compose import compose_run
    from gapo_lab.config.user_models import cached
    from gapo_lab.models import smollm2

    model = compose_run([f"model={named}"]).model
    words = dict(model.chat_template_kwargs)
    path = Path(str(model.path)).expanduser()
    if path == smollm2.folder():
        return smollm2.ensure(), words
    return path if path.is_dir() else cached(str(model.path), f"--model {named}: model.path"), words
