"""Interpolations of a configuration as plain values by dotted key: what reads what, and what they come to.

OmegaConf resolves them, once for each set of values that they read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config import attention, override_errors
from gapo_lab.errors import UserError
from gapo_lab.utils.dotted import flatten, nodes, unflatten

_TOKEN = re.compile(r"\.*[\w@-]+(?:\.[\w@-]+)*")
# `${a.b}` or `${oc.select:a.b,1}`, and nothing else
_NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_REFERENCE = re.compile(rf"\$\{{(?:oc\.select:({_NAME})(?:,[\w. -]*)?|({_NAME}))\}}")
_MORE = object()


@dataclass
class Known:
    """The settings as written, and the dotted keys of the nodes above them."""

    written: dict[str, Any]
    nodes: frozenset[str]


class Resolver:
    """Resolves interpolations. What it has resolved is kept, by all that it read."""

    def __init__(self) -> None:
        self._values: dict[tuple, Any] = {}
        self._words: dict[tuple[str, str], tuple[str, ...]] = {}

    def resolve(self, wanted: dict[str, Any], known: Known) -> dict[str, Any]:
        """Return the wanted keys with interpolations resolved; one that stands for a node gives several keys."""
        out: dict[str, Any] = {}
        for key, value in wanted.items():
            if not is_interpolation(value):
                out[key] = value
            else:
                out.update(self._one(key, value, known))
        return out

    def _one(self, key: str, value: Any, known: Known) -> dict[str, Any]:
        if (referred := self._referred(value, known)) is not _MORE:
            return {key: referred}
        needed = {key: value}
        waiting = [key]
        while waiting:
            reader = waiting.pop()
            for read in self.reads(reader, needed[reader], known):
                for leaf in _leaves(read, known.written):
                    if leaf not in needed:
                        needed[leaf] = known.written[leaf]
                        waiting.append(leaf)
        mark = (key, tuple((k, repr(v)) for k, v in needed.items()), self.place(needed))
        if mark not in self._values:
            small = OmegaConf.create(unflatten(needed))
            try:
                found = OmegaConf.to_container(small, resolve=True)
            except OmegaConfBaseException as error:
                raise UserError(override_errors.explain(error)) from error
            for name in key.split("."):
                found = found[name]
            self._values[mark] = flatten(found, key + ".")
        return self._values[mark]

    def _referred(self, value: Any, known: Known) -> Any:
        """Return the value of the one setting that an interpolation stands for; `_MORE` where it takes OmegaConf."""
        seen = set()
        while isinstance(value, str) and (found := _REFERENCE.fullmatch(value)):
            name = found[1] or found[2]
            if name in seen or name not in known.written:
                return _MORE
            seen.add(name)
            value = known.written[name]
            if value is None and found[1]:
                return _MORE
        if is_interpolation(value) or isinstance(value, dict) or value == "???":
            return _MORE
        return list(value) if isinstance(value, list) else value

    @staticmethod
    def place(needed: dict[str, Any]) -> tuple[str, ...]:
        """Return what else than settings these values depend on: the working folder, and what is installed."""
        text = repr(needed)
        folder = str(Path.cwd()) if "gapo_lab.smollm2" in text else ""
        return (folder, attention.installed() if "attention:" in text else "")

    def reads(self, key: str, value: Any, known: Known) -> list[str]:
        """Return the dotted keys that an interpolation may read: every word in it that is one. Too many do no harm."""
        if not is_interpolation(value):
            return []
        mark = (key, repr(value))
        if mark not in self._words:
            self._words[mark] = _words_of(key, mark[1])
        return [word for word in self._words[mark] if word in known.written or word in known.nodes]


# What anyone in this process has resolved is there for all.
shared = Resolver()


def resolved_values(config: DictConfig) -> dict[str, Any]:
    """Return the values of a configuration by dotted key, interpolations resolved. UserError for one that cannot be.

    OmegaConf alone takes a sixth of a second for all of it, most of that to parse what it has parsed before.
    """
    tree = OmegaConf.to_container(config, resolve=False)
    written = flatten(tree)
    return shared.resolve(written, Known(written, frozenset(nodes(tree))))


def is_interpolation(value: Any) -> bool:
    if isinstance(value, str):
        return "${" in value
    return isinstance(value, list) and "${" in repr(value)


def prefixes(key: str) -> list[str]:
    """`a.b.c` -> `a.b.c`, `a.b`, `a`."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _leaves(key: str, written: dict[str, Any]) -> list[str]:
    if key in written:
        return [key]
    return [leaf for leaf in written if leaf.startswith(key + ".")]


def is_under(key: str, written: dict[str, Any]) -> bool:
    """Whether ``key``, or a node above it, is one of ``written``."""
    return any(prefix in written for prefix in prefixes(key))


def readers_of(key: str, readers: dict[str, set[str]]) -> set[str]:
    """Every key whose value depends on ``key``, over any number of interpolations.

    readers: key -> keys whose interpolation reads it.
    """
    out: set[str] = set()
    waiting = [key]
    while waiting:
        for prefix in prefixes(waiting.pop()):
            for reader in readers.get(prefix, ()):
                if reader not in out:
                    out.add(reader)
                    waiting.append(reader)
    return out


def _words_of(key: str, text: str) -> tuple[str, ...]:
    """Every dotted word of an interpolation; one with leading dots counts from `key`'s own place."""
    found = []
    for token in _TOKEN.findall(text):
        dots = len(token) - len(token.lstrip("."))
        parents = key.split(".")[:-dots] if dots else []
        found.append(".".join([*parents, token[dots:]]))
    return tuple(dict.fromkeys(found))
