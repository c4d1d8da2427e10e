"""Data files of a Hugging Face data set, or of a folder that holds one. Nothing is fetched that was not asked for."""

from __future__ import annotations

import re
from pathlib import Path

from gapo_lab.errors import UserError

PATTERNS = ("*.jsonl", "*.parquet")
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def files(place: str, said: str, folder: str, again: str) -> list[Path]:
    """Return the parquet and JSON lines files of a folder, a file, or a Hugging Face id, in order of name.

    said: how the message begins. folder: where a person should put what is fetched elsewhere. again: the command then.
    Raises UserError where there is none, or no network: one line that says what to fetch and where to put it.
    """
    path = Path(place).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        if not _ID.fullmatch(place):
            raise UserError(f"{said}: {place}: no such file or folder, and no Hugging Face id (OWNER/NAME)")
        path = _fetched(place, said, folder, again)
    found = sorted(file for file in path.rglob("*") if file.suffix in (".jsonl", ".parquet") and file.is_file())
    if not found:
        raise UserError(f"{said}: no .parquet or .jsonl file in {place}")
    return found


def _fetched(hub: str, said: str, folder: str, again: str) -> Path:
    from huggingface_hub import snapshot_download

    for local in (True, False):
        try:
            return Path(snapshot_download(hub, repo_type="dataset", local_files_only=local, allow_patterns=[*PATTERNS]))
        except Exception as error:  # its errors for "no network" and "not cached" have no common base
            if not local:
                why = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise UserError(
                    f"{said}: {hub} cannot be fetched here ({why:.120}). Where there is a network: hf download {hub} "
                    f"--repo-type dataset --local-dir {folder}; then here: {again}"
                ) from error
    raise AssertionError("one of the two has returned or raised")
