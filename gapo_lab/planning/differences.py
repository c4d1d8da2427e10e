"""What a cell sets otherwise than the config files it chose: the part of its name behind model, method, tau and noise.

The comparison is with the configuration of the same model, method, tau and noise alone; a config file that the model
does not bring along (`data=git`) is named as a whole, and what it sets is not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gapo_lab.config.fast_compose import Composed, Composer
from gapo_lab.errors import UserError
from gapo_lab.runs import naming
from gapo_lab.planning.spec import Spec, checkpoint_digest, science_settings
from gapo_lab.utils.key_names import short

# Config groups that are named where they are not what the model brings along.
GROUPS = ("data", "scale", "recipe", "backend")
_KEY = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_ABSENT = object()


@dataclass(frozen=True)
class _Default:
    """A configuration of config files alone, and its science."""

    composed: Composed
    science: Mapping[str, object]


class Namer:
    """Names the runs of one plan; keeps what their cells share."""

    def __init__(self, composer: Composer) -> None:
        self.composer = composer
        self._defaults: dict[tuple[str, ...], _Default | None] = {}

    def named(self, spec: Spec, composed: Composed) -> Spec:
        """Return ``spec`` with what its name needs; unchanged where its config files alone do not compose."""
        chosen = self._chosen(spec, composed)
        alone = self._default(chosen)
        if alone is None:
            return spec
        weights = self._weights(spec, composed, alone)
        found = self._differs(composed, chosen, alone)
        return replace(spec, differs=found, weights=weights)

    def _chosen(self, spec: Spec, composed: Composed) -> tuple[str, ...]:
        """Return the overrides for the run's model, method, tau and noise."""
        given = naming.given_overrides({"overrides": spec.overrides})
        out = []
        for group in ("model", "algo"):
            name = str(composed.resolved.get(f"{group}.name"))
            name = name if self.composer.has(group, name) else given.get(group, "")
            out += [f"{group}={name}"] if name else []
        out += [f"tau={spec.tau!r}"] if spec.tau is not None else []
        return (*out, *([f"noise={spec.noise!r}"] if spec.noise else []))

    def _default(self, overrides: tuple[str, ...]) -> _Default | None:
        if overrides not in self._defaults:
            try:
                composed = self.composer.compose(overrides)
                science = science_settings(composed.written, composed.resolved)
                self._defaults[overrides] = _Default(composed, science)
            except UserError:
                self._defaults[overrides] = None
        return self._defaults[overrides]

    def _differs(self, composed: Composed, chosen: tuple[str, ...], alone: _Default) -> dict[str, object]:
        resolved = composed.resolved
        groups = {
            group: str(name)
            for group in GROUPS
            if (name := resolved.get(f"{group}.name")) != alone.composed.resolved.get(f"{group}.name")
            and self.composer.has(group, str(name))
        }
        base = self._with_groups(chosen, groups) or alone
        # a file that changes nothing about this run (backend=vllm, say) does not name it
        told = {
            group: name
            for group, name in groups.items()
            if (less := self._with_groups(chosen, {g: n for g, n in groups.items() if g != group})) is None
            or less.science != base.science
        }
        keys = composed.written.keys()
        found = {short(key, keys): resolved.get(key) for key in _origins(composed, base)}
        return {**told, **_places(composed, base), **dict(sorted(found.items()))}

    def _with_groups(self, chosen: Sequence[str], groups: Mapping[str, str]) -> _Default | None:
        return self._default((*chosen, *(f"{group}={name}" for group, name in groups.items())))

    def _weights(self, spec: Spec, composed: Composed, alone: _Default) -> str | None:
        """Return what the model is called where its weights are another model's and nobody has named it."""
        resolved, own = composed.resolved, alone.composed
        path, its = str(resolved["model.path"]), str(own.resolved["model.path"])
        if "model.name" in naming.given_overrides({"overrides": spec.overrides}):
            return None
        if resolved["model.name"] != own.resolved["model.name"]:
            return None  # a file of its own has named it
        if composed.written["model.path"] == own.written["model.path"] or path == its:
            return None
        if own.written["model.path"] == its and naming.weights_name(path) == PurePosixPath(its).name:
            return None  # a copy of what would be fetched
        if (digest := checkpoint_digest(Path(path))) and digest == checkpoint_digest(Path(its)):
            return None
        name = naming.weights_name(path)
        taken = (name,) if self.composer.has("model", name) else ()
        return naming.weights_name(path, taken, spec.science.get("checkpoint"))


def _origins(composed: Composed, base: _Default) -> list[str]:
    """Return the keys of science whose values differ from ``base`` for no other reason than themselves.

    data.max_response_length=64 also changes what refers to it; only the former is a reason.
    """
    science = science_settings(composed.written, composed.resolved)
    different = {
        key
        for key in science.keys() | base.science.keys()
        if science.get(key, _ABSENT) != base.science.get(key, _ABSENT)
    }
    return sorted(key for key in different if not _follows(key, different, composed, base.composed))


def _follows(key: str, different: set[str], composed: Composed, base: Composed) -> bool:
    """Whether the value of ``key`` is what the default's interpolation makes of other keys that differ."""
    rule, now = base.written.get(key), composed.written.get(key)
    if not any(other in different for other in _read(key, base.written) if other != key):
        return False
    whole = re.fullmatch(r"\$\{([\w.-]+)\}", rule) if isinstance(rule, str) else None
    return rule == now or (whole is not None and composed.resolved.get(whole[1]) == composed.resolved.get(key))


def _read(key: str, written: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the keys that the interpolation at ``key`` reads, directly or through others."""
    value = written.get(key)
    if not isinstance(value, str) or "${" not in value:
        return
    for other in _KEY.findall(value):
        if other in written and other not in seen:
            yield other
            yield from _read(other, written, seen | {other})


def _places(composed: Composed, base: _Default) -> dict[str, object]:
    """Return where the data are found, where that was given: its content is in the run key."""
    return {
        key: naming.place_name(value)
        for key in naming.PLACES
        if (value := composed.resolved.get(key)) and value != base.composed.resolved.get(key)
    }
