"""Many configurations at once: Hydra's own composition, with everything that cells share done once.

Hydra composes a cell in half a second, most of it for verl's 900 settings that no cell changes. Here Hydra's
own pieces decide what is composed (its override parser, its defaults list over its repository of config
files); the merging is done on plain dicts, once for each choice of config files; interpolations are resolved
by OmegaConf, once for each set of values that they read. What is out of the ordinary (a deletion, a dict as a
value, a word that is wrong) goes the slow way, which also has the error messages. A test holds every cell against
Hydra's composition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gapo_lab.config import attention, override_errors, search_path
from gapo_lab.config.compose import Refusal, compose_run
from gapo_lab.config.config_files import ConfigFiles, File
from gapo_lab.config.interpolations import Known, Resolver, is_under, prefixes, readers_of, shared
from gapo_lab.errors import RefusedWords, UserError
from gapo_lab.utils.dotted import flatten, nodes

_MISSING = object()


@dataclass(frozen=True)
class Composed:
    """One configuration by dotted key: as it is written, and with its interpolations resolved."""

    written: dict[str, Any]
    resolved: dict[str, Any]


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
    """Composes cells. Everything it has learnt is kept for the next cell; make a new one when files change.

    What comes of shipped files alone does not change while a process lives, and is kept for all composers in it.
    """

    _resolver: ClassVar = shared  # which keeps values by all that they depend on
    _shipped_bases: ClassVar[dict[tuple, _Base]] = {}

    def __init__(self) -> None:
        self._files = ConfigFiles()
        self._parser = OverridesParser.create()
        self._parsed: dict[str, Override] = {}
        self._bases: dict[tuple[str, ...], _Base] = {}
        self._alone: dict[tuple[File, ...], _Base] = {}
        self._groups: dict[str, bool] = {}
        self._refused: dict[tuple[str, ...], Refusal] = {}
        self._refused_keys: dict[str, str] = {}

    def compose(self, words: Sequence[str]) -> Composed:
        """Return the configuration of these overrides. UserError, one line, where Hydra would refuse them."""
        try:
            overrides = [self._parse(word) for word in words]
        except UserError:
            return self._slowly(words)  # which names all that cannot be read
        if any(override.is_sweep_override() for override in overrides):
            return self._slowly(words)  # several values: Hydra refuses them, its defaults list leaves them out
        chosen = tuple(word for word, o in zip(words, overrides, strict=True) if self._chooses_file(o))
        if chosen in self._refused:
            raise self._refused[chosen].again(words)
        if chosen not in self._bases:
            try:
                self._bases[chosen] = self._base(chosen)
            except Exception:  # noqa: BLE001 - Hydra's own way says what is wrong
                try:
                    return self._slowly(words)
                except UserError as error:
                    self._refused[chosen] = Refusal.of(error, words)
                    raise
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
                return self._unknown(words, overrides, base)
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
        """Return the configuration of the config files that these overrides choose; the other overrides are left out.

        instead: group -> the file that takes the place of those of that group, `cluster/local`; None for none.
        values: of keys that these files have.
        """
        overrides = [self._parse(word) for word in words]
        chosen = tuple(word for word, o in zip(words, overrides, strict=True) if self._chooses_file(o))
        files: dict[File, None] = {}
        for file in self._listed(chosen):
            group = file.path.partition("/")[0]
            path = instead.get(group, file.path)
            if path is not None:
                files[File(path, file.package)] = None
        base = self._of_files(tuple(files), search_path.only_shipped(chosen))
        new = {name: v for name, v in values.items() if name in base.written and base.written[name] != v}
        return self._with(base, new)

    def has(self, group: str, name: str) -> bool:
        """Whether there is a config file `group=name`."""
        return self._files.has(f"{group}/{name}")

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
            except HydraException as error:
                raise UserError(override_errors.explain(error)) from error
        return self._parsed[word]

    def _chooses_file(self, override: Override) -> bool:
        group = override.key_or_group
        if group not in self._groups:
            self._groups[group] = self._files.has_group(group)
        # `data=...` chooses a file although `data` is also a node of settings; `data.x=...` sets a value
        return self._groups[group]

    def _unknown(self, words: Sequence[str], overrides: Sequence[Override], base: _Base) -> Composed:
        """Raise UserError with a line for each key that is not there, and those of the other words' faults."""
        keys = {
            word: one.key_or_group
            for word, one in zip(words, overrides, strict=True)
            if not self._chooses_file(one) and one.key_or_group not in base.written | dict.fromkeys(base.known.nodes)
        }
        if any(one.is_add() or one.is_force_add() or one.is_delete() or one.package for one in overrides):
            return self._slowly(words)
        lines, rest = [self._told(key) for key in keys.values()], [word for word in words if word not in keys]
        try:
            self.compose(rest)
        except UserError as error:
            lines += str(error).splitlines()
            rest = list(error.rest) if isinstance(error, RefusedWords) else []
        raise RefusedWords(lines, rest)

    def _told(self, key: str) -> str:
        if key not in self._refused_keys:
            self._refused_keys[key] = override_errors.unknown_key(key)
        return self._refused_keys[key]

    def _slowly(self, words: Sequence[str]) -> Composed:
        config = compose_run(words)
        try:
            resolved = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise UserError(override_errors.explain(error)) from error
        return Composed(flatten(OmegaConf.to_container(config, resolve=False)), flatten(resolved))

    # The part that is done once for each choice of config files

    def _base(self, chosen: tuple[str, ...]) -> _Base:
        search_path.refuse_shadowed(chosen)
        return self._of_files(self._listed(chosen), search_path.only_shipped(chosen))

    def _of_files(self, files: tuple[File, ...], shipped: bool) -> _Base:
        """Return what these files come to; ``shipped``: whether none of them is the user's."""
        if files in self._alone:
            return self._alone[files]
        kept = (files, attention.installed())
        base = self._shipped_bases.get(kept) if shipped else None
        if base is None:
            base = self._merged(files)
            if shipped and not any(Resolver.place({"": value})[0] for value in base.written.values()):
                self._shipped_bases[kept] = base
        self._alone[files] = base
        return base

    def _listed(self, chosen: tuple[str, ...]) -> tuple[File, ...]:
        return self._files.chosen(chosen, [self._parsed[word] for word in chosen])

    def _merged(self, files: Sequence[File]) -> _Base:
        tree: dict[str, Any] = {}
        for file in files:
            package, content = self._files.content(file.path)
            package = file.package if file.package is not None else package
            for name in reversed(package.split(".") if package else []):
                content = {name: content}
            _merge(tree, content)
        sweeper = tree.pop("hydra", {}).get("sweeper") or {}
        written = flatten(tree)
        known = Known(written, frozenset(nodes(tree)))
        readers: dict[str, set[str]] = {}
        for key, value in written.items():
            for read in self._resolver.reads(key, value, known):
                readers.setdefault(read, set()).add(key)
        return _Base(
            tree,
            known,
            self._resolver.resolve(written, known),
            readers,
            bool(sweeper.get("params")) or "search" in tree,
        )

    # Values and interpolations

    def _with(self, base: _Base, changed: dict[str, Any]) -> Composed:
        if not changed:
            return Composed(dict(base.written), dict(base.resolved))
        written = base.written | changed
        nodes = base.known.nodes
        if added := changed.keys() - base.written.keys():
            nodes = nodes.union(*(prefixes(key)[1:] for key in added))
        affected = set(changed)
        for key in changed:
            affected |= readers_of(key, base.readers)
        new = self._resolver.resolve({key: written[key] for key in affected}, Known(written, nodes))
        resolved = base.resolved | new
        if len(resolved) != len(written):
            resolved = {key: value for key, value in resolved.items() if key in written or is_under(key, written)}
        return Composed(written, resolved)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str, QuotedString))


def _unquoted(value: Any) -> Any:
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    return value.text if isinstance(value, QuotedString) else value


def _merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """As OmegaConf merges: dicts key by key, everything else replaces; `???` does not replace what is there."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        elif not (value == "???" and name in into):
            into[name] = deepcopy(value)
