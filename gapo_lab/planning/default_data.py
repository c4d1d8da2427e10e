"""What a large model is trained on where nobody says: mined edits, if they are there, else generated ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gapo_lab.config.fast_compose import Composed, Composer
from gapo_lab.errors import UserError

MINED, GENERATED = "data=mined", "data=micro"


def with_data(words: Sequence[str], composed: Composed, composer: Composer) -> tuple[tuple[str, ...], Composed]:
    """Return the words of a run and its configuration, with the word for its data where nobody has said it.

    A model that needs GPUs takes ``data=mined`` where the folder ``mined`` holds mined edits, else ``data=micro``. The
    word is written down with the run: a retry trains on the same, whatever was mined since.
    """
    settings = composed.resolved
    chosen = any(word.lstrip("+").startswith("data=") for word in words) or settings.get("data.name") != "micro"
    if chosen or settings.get("model.cpu") or not settings.get("backend.needs_gpu"):
        return tuple(words), composed
    if (Path(str(settings.get("mined"))).expanduser() / "about.json").is_file():
        with suppress(UserError):  # a word is of data=micro only, such as data.train_size
            return (*words, MINED), composer.compose((*words, MINED))
    return (*words, GENERATED), composed
