"""A short hash of what `data=` points at, part of a run's key: other commits or other files are another run.

Cheap: no history is walked and nothing is mined. Where only settings decide (micro edits) there is nothing to say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapo_lab.data.mining.format import FORMAT, mined_digest, mined_files
from gapo_lab.data.ood import registry as ood
from gapo_lab.data.user_rows import files, sets
from gapo_lab.errors import UserError
from gapo_lab.utils.dotted import unflatten


def of(data: Mapping[str, Any]) -> str | None:
    """Twelve hex digits over repositories' newest commits, or a folder's or files' content, and an OOD set's file.

    data: the `data` node of a run's configuration. None when the settings say it all. Raises UserError when
    something is not there.
    """
    if data["name"] == "parquet":
        return _hash(sets.content(unflatten(data) if isinstance(data, Mapping) else data))
    content: dict[str, Any] = {}
    if data["name"] == "git":
        if data["path"]:
            content["mined"] = _mined(Path(data["path"]).expanduser())
        else:
            content["format"] = FORMAT
            content["heads"] = [head(repo) for repo in data["repos"]]
    if data["template"]:
        content["template"] = _file_digest(Path(data["template"]).expanduser())
    if data["ood"] not in ood.GENERATED:
        content["ood"] = ood.digest(data["ood"], data["ood_path"])
    return _hash(content) if content else None


def _mined(folder: Path) -> str:
    """Return the content hash of a mined folder, whose files must be those that were mined."""
    for path, mined in mined_files(folder).items():
        if not path.is_file() or files.digest(path) != mined[: files.DIGITS]:
            what = "has changed since it was mined" if path.is_file() else "is missing"
            raise UserError(
                f"{path}: {what}. For rows of your own take data=parquet data.train={path}; else mine again "
                "into another folder"
            )
    return mined_digest(folder)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _file_digest(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"data.template={path}: no such file. Leave the key out for the built-in template")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def head(repo: str | Path) -> str:
    """Return the hash of HEAD's commit. Raises UserError for a folder that is no repository or has no commit."""
    from gapo_lab.data.mining.repository import open_repository

    return str(open_repository(repo).head.target)
