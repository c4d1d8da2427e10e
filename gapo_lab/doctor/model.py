"""Whether a model's weights are here, whole, and its tokenizer gives back what it is given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from gapo_lab.data import tokenizer_check
from gapo_lab.doctor.finding import Finding, note, ok, wrong
from gapo_lab.errors import UserError
from gapo_lab.models import smollm2
from gapo_lab.utils.text import file_size

INDEX = "model.safetensors.index.json"


# Pure


def check_weights(about: str, path: str, folder: Path | None, missing: list[str], size: int) -> Finding:
    """folder: where the model lies, None where it does not. missing: files of it that are not there. size: bytes."""
    if folder is None:
        return wrong(about, f"{path} is not on this machine", _fetch(path))
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        return wrong(about, f"{folder} lacks {some}", _fetch(path))
    return ok(about, f"{path}, {file_size(size)} on this machine")


def check_hub(about: str, path: str, error: str | None) -> Finding:
    """Of a model that is not on this machine. error: why Hugging Face does not give it, None where it does."""
    if error is None:
        return note(
            about, f"{path} is not on this machine, but can be fetched", _fetch(path, "Better now than in a job")
        )
    return wrong(about, f"{path} is not on this machine and cannot be fetched ({error})", _fetch(path))


def _fetch(path: str, why: str = "") -> str:
    if Path(path).is_absolute() or path.startswith("."):
        return "Give model.path=FOLDER that holds the whole model"
    how = f"hf download {path} --exclude 'consolidated*', where there is a network, with HF_HOME on a shared disk"
    return f"{why}: {how}" if why else how


def check_tokenizer(about: str, name: str, said: str | None) -> Finding:
    """said: what is wrong, with the remedy; None where it gives back what it is given."""
    if said is not None:
        return wrong(about, said)
    return ok(about, f"{name} gives back what it is given")


# What is looked at


def look(name: str, path: str) -> Iterator[Finding]:
    """Yield the findings about one model. path: a folder or a Hugging Face id."""
    about = f"model {name}"
    folder = find(path)
    if folder is None and Path(path) == smollm2.folder():
        yield ok(about, "is unpacked by its first run")  # that its package is there is a matter of the settings
        return
    if folder is None and not _is_local(path):
        yield check_hub(about, path, hub_error(path))
        return
    yield check_weights(about, path, folder, missing_files(folder) if folder else [], _size(folder) if folder else 0)
    if folder:
        yield _tokenizer(f"tokenizer {name}", path, folder)


def _is_local(path: str) -> bool:
    return Path(path).expanduser().is_absolute() or path.startswith(".") or Path(path).exists()


def find(path: str) -> Path | None:
    """Return the folder of a model: the path itself, or where Hugging Face's tools have put it; None where it is not
    here."""
    if _is_local(path):
        folder = Path(path).expanduser()
        return folder if (folder / "config.json").is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(path, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def missing_files(folder: Path) -> list[str]:
    """Return the files of weights and of the tokenizer that should be in a model's folder and are not."""
    index = folder / INDEX
    if index.is_file():
        wanted = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        wanted = [] if list(folder.glob("*.safetensors")) else ["model.safetensors"]
    wanted += [] if list(folder.glob("tokenizer*")) else ["tokenizer.json"]
    return [name for name in wanted if not (folder / name).exists()]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def hub_error(name: str) -> str | None:
    """Ask Hugging Face for a model: the first line of the error, None where it is there."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return "HF_HUB_OFFLINE is set"
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=15)
    except Exception as error:  # noqa: BLE001 - those of the network have no common base
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0]:.120}".rstrip(": ")
    return None


def _tokenizer(about: str, path: str, folder: Path) -> Finding:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001 - whatever is in that folder
        lines = str(error).strip().splitlines() or [""]
        return wrong(about, f"{folder}: cannot be read ({lines[0]:.150})", _fetch(path))
    try:
        tokenizer_check.check_tokenizer(tokenizer, path)
    except UserError as error:
        return check_tokenizer(about, type(tokenizer).__name__, str(error))
    return check_tokenizer(about, type(tokenizer).__name__, None)
