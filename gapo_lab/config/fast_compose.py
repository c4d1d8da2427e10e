"""Many configurations at once: Hydra's own composition, with everything that cells share done once.

Hydra composes a cell in half a second, most of it for verl's 900 settings that no cell changes. Here Hydra's
own pieces decide what is composed (its override parser, its defaults list over its repository of config
files); the merging is done on plain dicts, once for each choice of config files; interpolations are resolved
by OmegaConf, once for each set of values that they read. What is out of the ordinary (a deletion, a dict as a
value, a word that is wrong) goes the slow way, which also has the error messages. A test holds every cell against
Hydra's composition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

from hydra import initialize_config_dir
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config import compose, search_path
from gapo_lab.config.compose import compose_run
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF
from gapo_lab.utils.dotted import flatten, unflatten

_TOKEN = re.compile(r"\.*[\w@-]+(?:\.[\w@-]+)*")
_MISSING = object()


@dataclass(frozen=True)
class Composed:
    """One configuration by dotted key: as it is written, and with its interpolations resolved."""

    written: dict[str, Any]
    resolved: dict[str, Any]


class _File(NamedTuple):
    """A config file, and the node it goes to where that is not the one it names itself."""

    path: str
    package: str | None


@dataclass
class _Base:
    """What the cells with the same config files share."""

    tree: dict[str, Any]
    known: Known
    resolved: dict[str, Any]
    readers: dict[str, set[str]]  # key -> keys whose interpolation reads it
    is_sweep: bool  # whether a file has axes, or searches

    @property
    def written(self) -> dict[str, Any]:
        return self.known.written


class Composer:
    """Composes cells. Everything it has learnt is kept for the next cell; make a new one when files change."""

    def __init__(self) -> None:
        compose.register()
        GlobalHydra.instance().clear()
        with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
        self._repo = CachingConfigRepository(loader.repository)
        self._parser = OverridesParser.create()
        self._parsed: dict[str, Override] = {}
        self._files: dict[str, tuple[str | None, dict[str, Any]]] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._chosen: dict[tuple[str, ...], tuple[_File, ...]] = {}
        self._alone: dict[tuple[_File, ...], _Base] = {}
        self._groups: dict[str, bool] = {}
        self._values: dict[tuple, Any] = {}
        self._words: dict[tuple[str, str], tuple[str, ...]] = {}
        self._refused: dict[tuple[str, ...], str] = {}

    def compose(self, words: Sequence[str]) -> Composed:
        """The configuration of these overrides. UserError, one line, where Hydra would refuse them."""
        overrides = [self._parse(word) for word in words]
        if any(override.is_sweep_override() for override in overrides):
            return self._slowly(words)  # several values: Hydra refuses them, its defaults list leaves them out
        chosen = tuple(word for word, o in zip(words, overrides, strict=True) if self._chooses_file(o))
        if chosen in self._refused:
            raise UserError(self._refused[chosen])
        if chosen not in self._bases:
            try:
                self._bases[chosen] = self._base(chosen)
            except Exception:  # noqa: BLE001 - Hydra's own way says what is wrong
                try:
                    slow = self._slowly(words)
                except UserError as error:
                    self._refused[chosen] = str(error)
                    raise
                return slow
        base = self._bases[chosen]
        changed: dict[str, Any] = {}
        for override in overrides:
            if self._chooses_file(override):
                continue
            value = override.value()
            key = override.key_or_group
            known = key in base.written or key in changed
            if not _is_plain(value) or override.package or override.is_delete() or (override.is_add() and known):
                return self._slowly(words)
            if not known and not self._is_new_leaf(base, override, key):
                return self._slowly(words)
            if key in base.written and (base.written[key] == {} or (isinstance(value, str) and value == "???")):
                return self._slowly(words)
            changed[key] = _unquoted(value)
        return self._with(base, changed)

    def is_sweep(self, words: Sequence[str]) -> bool:
        """Whether a config file that these overrides choose makes them a sweep or a search."""
        chosen = tuple(word for word in words if self._chooses_file(self._parse(word)))
        try:
            if chosen not in self._bases:
                self._bases[chosen] = self._base(chosen)
        except Exception:  # noqa: BLE001 - `compose` says what is wrong
            return False
        return self._bases[chosen].is_sweep

    def files_alone(
        self, words: Sequence[str], instead: Mapping[str, str | None], values: Mapping[str, Any]
    ) -> Composed:
        """The configuration of the config files that these overrides choose; the other overrides are left out.

        instead: group -> the file that takes the place of those of that group, `cluster/local`; None for none.
        values: of keys that these files have.
        """
        overrides = [self._parse(word) for word in words]
        chosen = tuple(word for word, o in zip(words, overrides, strict=True) if self._chooses_file(o))
        files: dict[_File, None] = {}
        for file in self._chosen_files(chosen):
            group = file.path.partition("/")[0]
            path = instead.get(group, file.path)
            if path is not None:
                files[_File(path, file.package)] = None
        key = tuple(files)
        if key not in self._alone:
            self._alone[key] = self._merged(key)
        base = self._alone[key]
        new = {name: v for name, v in values.items() if name in base.written and base.written[name] != v}
        return self._with(base, new)

    def has(self, group: str, name: str) -> bool:
        """Whether there is a config file `group=name`."""
        return self._repo.config_exists(f"{group}/{name}")

    def _is_new_leaf(self, base: _Base, override: Override, key: str) -> bool:
        """Whether `+key=value` only adds a leaf: no node is there, and no leaf stands in its way."""
        if not (override.is_add() or override.is_force_add()):
            return False
        node: Any = base.tree
        for name in key.split("."):
            if not isinstance(node, dict) or node.get(name, _MISSING) is None:
                return False
            node = node.get(name, _MISSING)
            if node is _MISSING:
                return True
        return False

    def _parse(self, word: str) -> Override:
        if word not in self._parsed:
            try:
                (self._parsed[word],) = self._parser.parse_overrides([word])
            except compose.HydraException as error:
                raise UserError(compose.explain(error)) from error
        return self._parsed[word]

    def _chooses_file(self, override: Override) -> bool:
        group = override.key_or_group
        if group not in self._groups:
            self._groups[group] = self._repo.group_exists(group)
        # `data=...` chooses a file although `data` is also a node of settings; `data.x=...` sets a value
        return self._groups[group]

    def _slowly(self, words: Sequence[str]) -> Composed:
        config = compose_run(words)
        try:
            resolved = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise UserError(compose.explain(error)) from error
        return Composed(flatten(OmegaConf.to_container(config, resolve=False)), flatten(resolved))

    # The part that is done once for each choice of config files

    def _base(self, chosen: tuple[str, ...]) -> _Base:
        search_path.refuse_shadowed(chosen)
        return self._merged(self._chosen_files(chosen))

    def _chosen_files(self, chosen: tuple[str, ...]) -> tuple[_File, ...]:
        """The config files that these overrides choose, in the order in which they are merged."""
        if chosen not in self._chosen:
            defaults = create_defaults_list(
                repo=self._repo,
                config_name="config",
                overrides_list=[self._parsed[word] for word in chosen],
                prepend_hydra=True,
                skip_missing=False,
            )
            self._chosen[chosen] = tuple(
                _File(str(default.config_path), default.package)
                for default in defaults.defaults
                if not default.config_path.startswith("hydra/")
            )
        return self._chosen[chosen]

    def _merged(self, files: Sequence[_File]) -> _Base:
        tree: dict[str, Any] = {}
        for file in files:
            package, content = self._file(file.path)
            package = file.package if file.package is not None else package
            for name in reversed(package.split(".") if package else []):
                content = {name: content}
            _merge(tree, content)
        sweeper = tree.pop("hydra", {}).get("sweeper") or {}
        written = flatten(tree)
        known = Known(written, frozenset(_nodes(tree)))
        readers: dict[str, set[str]] = {}
        for key, value in written.items():
            for read in self._reads(key, value, known):
                readers.setdefault(read, set()).add(key)
        return _Base(
            tree,
            known,
            self._resolve(written, known),
            readers,
            bool(sweeper.get("params")) or "search" in tree,
        )

    def _file(self, path: str) -> tuple[str | None, dict[str, Any]]:
        if path not in self._files:
            loaded = self._repo.load_config(path)
            content = OmegaConf.to_container(loaded.config, resolve=False)
            content.pop("defaults", None)
            self._files[path] = (loaded.header["package"], content)
        package, content = self._files[path]
        return package, content

    # Values and interpolations

    def _with(self, base: _Base, changed: dict[str, Any]) -> Composed:
        if not changed:
            return Composed(base.written, base.resolved)
        written = base.written | changed
        nodes = base.known.nodes
        if added := changed.keys() - base.written.keys():
            nodes = nodes.union(*(_prefixes(key)[1:] for key in added))
        affected = set(changed)
        for key in changed:
            affected |= _closure(key, base.readers)
        new = self._resolve({key: written[key] for key in affected}, Known(written, nodes))
        resolved = base.resolved | new
        if len(resolved) != len(written):
            resolved = {key: value for key, value in resolved.items() if key in written or _under(key, written)}
        return Composed(written, resolved)

    def _resolve(self, wanted: dict[str, Any], known: Known) -> dict[str, Any]:
        """The wanted keys with interpolations resolved; one that stands for a node gives several keys."""
        out: dict[str, Any] = {}
        for key, value in wanted.items():
            if not _is_interpolation(value):
                out[key] = value
            else:
                out.update(self._resolve_one(key, value, known))
        return out

    def _resolve_one(self, key: str, value: Any, known: Known) -> dict[str, Any]:
        needed = {key: value}
        waiting = [key]
        while waiting:
            reader = waiting.pop()
            for read in self._reads(reader, needed[reader], known):
                for leaf in _leaves(read, known.written):
                    if leaf not in needed:
                        needed[leaf] = known.written[leaf]
                        waiting.append(leaf)
        mark = (key, tuple((k, repr(v)) for k, v in needed.items()))
        if mark not in self._values:
            small = OmegaConf.create(unflatten(needed))
            try:
                found = OmegaConf.to_container(small, resolve=True)
            except OmegaConfBaseException as error:
                raise UserError(compose.explain(error)) from error
            for name in key.split("."):
                found = found[name]
            self._values[mark] = flatten(found, key + ".")
        return self._values[mark]

    def _reads(self, key: str, value: Any, known: Known) -> list[str]:
        """The dotted keys that an interpolation may read: every word in it that is one. Too many do no harm."""
        if not _is_interpolation(value):
            return []
        mark = (key, repr(value))
        if mark not in self._words:
            self._words[mark] = _words_of(key, mark[1])
        return [word for word in self._words[mark] if word in known.written or word in known.nodes]


@dataclass
class Known:
    """The settings as written, and the dotted keys of the nodes above them."""

    written: dict[str, Any]
    nodes: frozenset[str]


def _words_of(key: str, text: str) -> tuple[str, ...]:
    """Every dotted word of an interpolation; one with leading dots counts from `key`'s own place."""
    found = []
    for token in _TOKEN.findall(text):
        dots = len(token) - len(token.lstrip("."))
        parents = key.split(".")[:-dots] if dots else []
        found.append(".".join([*parents, token[dots:]]))
    return tuple(dict.fromkeys(found))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str, QuotedString))


def _unquoted(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    return value.text if isinstance(value, QuotedString) else value


def _is_interpolation(value: Any) -> bool:
    if isinstance(value, str):
        return "${" in value
    return isinstance(value, list) and "${" in repr(value)


def _nodes(tree: dict[str, Any], above: str = "") -> set[str]:
    """Every dotted key that has keys below it."""
    out = set()
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            out.add(above + name)
            out |= _nodes(value, f"{above}{name}.")
    return out


def _prefixes(key: str) -> list[str]:
    """`a.b.c` -> `a.b.c`, `a.b`, `a`."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _leaves(key: str, written: dict[str, Any]) -> list[str]:
    if key in written:
        return [key]
    return [leaf for leaf in written if leaf.startswith(key + ".")]


def _under(key: str, written: dict[str, Any]) -> bool:
    return any(prefix in written for prefix in _prefixes(key))


def _closure(key: str, readers: dict[str, set[str]]) -> set[str]:
    out: set[str] = set()
    waiting = [key]
    while waiting:
        for prefix in _prefixes(waiting.pop()):
            for reader in readers.get(prefix, ()):
                if reader not in out:
                    out.add(reader)
                    waiting.append(reader)
    return out


def _merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """As OmegaConf merges: dicts key by key, everything else replaces; `???` does not replace what is there."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        elif not (value == "???" and name in into):
            into[name] = deepcopy(value)
