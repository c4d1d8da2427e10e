"""Short hashes of a model folder: of its weights, and of how it is read. A run key has both."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from gapo_lab.models import model_files, smollm2
from gapo_lab.paths import NANO

# Files of a model folder that say how it is read.
READ_AS_TEXT = (".json", ".jinja", ".txt", ".model", ".py")
# A checkpoint's digest reads files up to WHOLE bytes, and BLOCKS blocks of BLOCK bytes of larger ones.
WHOLE, BLOCKS, BLOCK = 64 << 20, 64, 1 << 16


def checkpoint_digest(folder: Path) -> str | None:
    """Twelve hex digits over the weights of a local checkpoint; None for a name to be fetched.

    SmolLM2 has the name of its package, also before its folder is made: the run is the same.
    """
    if folder == smollm2.folder():
        return smollm2.VERSION
    weights = model_files.weights(folder)
    if not weights:
        return None
    return _digest(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in weights))


def reading_digest(folder: Path) -> str | None:
    """Twelve hex digits over the tokenizer, template and configuration of a user's own model folder.

    None for a name to be fetched, and where they are those of a shipped model, whose weights' digest names them too.
    """
    if folder == smollm2.folder() or not folder.is_dir():
        return None
    found = _small_files(folder)
    shipped = [_small_files(path) for path in NANO.glob("*checkpoint")]
    return None if not found or found in shipped else hashlib.sha256(repr(found).encode()).hexdigest()[:12]


def _small_files(folder: Path) -> list[tuple[str, str]]:
    """How a model folder is read: the names and digests of its files of text."""
    files = sorted(path for path in folder.iterdir() if path.suffix in READ_AS_TEXT and path.is_file())
    return [(p.name, _digest(((p, p.stat().st_mtime_ns, p.stat().st_size),))) for p in files]


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash a checkpoint's files. A thousand cells share one, so it is read again only when its files have changed.

    Of a file above 64 MB its size and blocks from all over it: a planner has two seconds, a 14B copy has 30 GB.
    """
    sha = hashlib.sha256()
    for path, _, size in files:
        with open(path, "rb") as weights:
            if size <= WHOLE:
                sha.update(weights.read())
                continue
            sha.update(str(size).encode())
            for place in range(BLOCKS):
                weights.seek((size - BLOCK) * place // (BLOCKS - 1))
                sha.update(weights.read(BLOCK))
    return sha.hexdigest()[:12]
