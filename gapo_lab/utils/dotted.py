"""Nested dicts to one level with dotted keys, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(tree: object, prefix: str = "") -> dict[str, object]:
    """Nested dicts to one level with dotted keys; lists and empty dicts are leaves."""
    if isinstance(tree, dict) and tree:
        flat: dict[str, object] = {}
        for name, value in tree.items():
            flat.update(flatten(value, f"{prefix}{name}."))
        return flat
    return {prefix[:-1]: tree}


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys to nested dicts: the other way round than `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        node = tree
        *parents, last = key.split(".")
        for name in parents:
            node = node.setdefault(name, {})
        # an empty dict may get keys from a later line: that of the caller stays empty
        node[last] = {} if value == {} else value
    return tree


def below(flat: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the nested dict of one node, such as `data`, of a tree with dotted keys."""
    start = f"{name}."
    return unflatten({key.removeprefix(start): value for key, value in flat.items() if key.startswith(start)})


def nodes(tree: dict[str, Any], above: str = "") -> set[str]:
    """Every dotted key that has keys below it."""
    out = set()
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            out.add(above + name)
            out |= nodes(value, f"{above}{name}.")
    return out
