"""Which files of a model folder hold its weights and its tokenizer. Reads no file."""

from __future__ import annotations

from pathlib import Path

# One of these is a tokenizer; a folder with Python of its own may have another.
TOKENIZER = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "*.py")


def weights(folder: Path) -> list[Path]:
    """Return the files of its weights; [] where it is no folder, or has none."""
    found = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    return found or (sorted(folder.glob("pytorch_model*.bin")) if folder.is_dir() else [])


def has_tokenizer(folder: Path) -> bool:
    return any(True for pattern in TOKENIZER for _ in folder.glob(pattern))
