"""Read a run's config.yaml: all of it, or a few settings without parsing the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

from gapo_lab.errors import UserError
from gapo_lab.utils import atomic_files, yaml_text
from gapo_lab.utils.yaml_text import NotYamlError

_LINE = re.compile(r"^( *)([\w.-]+):(?: +(\S.*))?$", re.MULTILINE)


def whole(path: Path) -> dict[str, Any]:
    """Return the file as plain values; {} where there is none. UserError where it is not valid YAML."""
    return _read(path, lambda text: yaml_text.load(text) or {})


def some(path: Path, keys: Collection[str]) -> dict[str, Any]:
    """Return the file's values at these dotted keys, as `pick`; {} where there is no file. Errors as `whole`."""
    return _read(path, lambda text: pick(text, keys))


def _read(path: Path, parsed: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    try:
        return parsed(atomic_files.read_text(path))
    except FileNotFoundError:
        return {}
    except NotYamlError as error:
        raise UserError(f"{path} is not valid YAML. Mend it or move the folder away") from error


def pick(text: str, keys: Collection[str]) -> dict[str, Any]:
    """Return the values at these dotted keys; a key that is not there is left out.

    A config has a thousand lines in block style, as our writers leave it: reading its lines takes a tenth of the
    time of parsing it. Where a key is not found that way (a file that a person has rewritten), the whole file is
    parsed.
    """
    found = _scan(text, keys)
    if len(found) < len(keys):
        tree = yaml_text.load(text)
        found = {key: value for key in keys if (value := _at(tree, key)) is not None}
    return found


def _scan(text: str, keys: Collection[str]) -> dict[str, Any]:
    """Return the scalars at ``keys`` that stand on lines of their own, each below its parents by indentation."""
    found: dict[str, Any] = {}
    leaves = {key.rpartition(".")[2] for key in keys}
    above: list[tuple[int, str]] = []
    for line in _LINE.finditer(text):
        indent, name, value = len(line[1]), line[2], line[3]
        while above and above[-1][0] >= indent:
            above.pop()
        if value is None:
            above.append((indent, name))
        elif name in leaves:
            key = ".".join([*(parent for _, parent in above), name])
            if key in keys and value[0] not in "[{&*|>!":
                found[key] = _scalar(value)
    return found


@lru_cache(10_000)
def _scalar(text: str) -> Any:
    return yaml_text.load(text)


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
