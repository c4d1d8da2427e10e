"""What prepared rows are made from: settings, code, content, vocabulary. Their folder's name is a hash of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapo_lab.data import content_digest
from gapo_lab.data.user_rows import sets

# What decides which rows come out; everything else in the `data` node is verl's own. The template counts by its text.
KEYS = frozenset(
    [
        "name",
        "generator_seed",
        "train_size",
        "id_size",
        "dev_size",
        "ood",
        "ood_prompt",
        "ood_size",
        "max_per_repo",
        "since",
        "until",
        "split",
        "id_share",
        "test_repos",
        "no_change",
        "private",
        "leaks",
        "window",
        "samples",
        "window_tokens",
        "history",
        "greedy",
        "max_prompt_length",
        "max_response_length",
        "apply_chat_template_kwargs",
        "system_role",
        "prompt_key",
        "truth_key",
        "source_key",
    ]
)


def made_from(data: Mapping[str, Any], tokenizer, template: str) -> dict[str, Any]:
    """Return what the rows of a run's `data` node are made from, ready for JSON.

    template: the text that prompts are made with.
    """
    return {
        "data": {key: data[key] for key in sorted(data) if key in KEYS and not _is_place(key, data)},
        "source": {
            "code": code_digest(Path(__file__).parent),
            "template": template,
            "content": content_digest.of(data) or "",
        },
        "vocabulary": hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()[:12],
        "chat_template": hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:12],
    }


def _is_place(key: str, data: Mapping[str, Any]) -> bool:
    """Whether a setting only says where one's own rows lie: their content counts."""
    return data["name"] == "parquet" and key in sets.PLACES


# The folders of gapo_lab/data/ whose code decides, with prepare.py, which rows come out. The rest prints and checks
# them.
MAKES_ROWS = ("tasks", "micro", "lists", "mining", "ood", "user_rows")


def code_digest(folder: Path) -> str:
    """Twelve hex digits over the code that makes rows, in gapo_lab/data/ (`folder`)."""
    sha = hashlib.sha256()
    for path in (
        folder / "prepare.py",
        *(p for name in MAKES_ROWS for p in sorted((folder / name).rglob("*.py"))),
    ):
        sha.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return sha.hexdigest()[:12]
