"""Read a few settings of a config.yaml without parsing all of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE = re.compile(r"^( *)([\w.-]+):(?: +(\S.*))?$", re.MULTILINE)


def pick(text: str, keys: Collection[str]) -> dict[str, Any]:
    """Return the values at these dotted keys; a key that is not there is left out.

    A config has a thousand lines in block style, as our writers leave it: reading its lines takes a tenth of the
    time of parsing it. Where a key is not found that way (a file that a person has rewritten), the whole file is
    parsed.
    """
    found = _scan(text, keys)
    if len(found) < len(keys):
        whole = yaml.load(text, Loader=LOADER)
        found = {key: value for key in keys if (value := _at(whole, key)) is not None}
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
    return yaml.load(text, Loader=LOADER)


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
