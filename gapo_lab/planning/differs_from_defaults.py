"""What a cell sets otherwise than the config files it chose: the part of its name behind model, method, tau and noise.

The comparison is with the configuration of those files alone, at the same tau and noise. A file that the model does not
bring along (`data=git`) is named as a whole, and what it sets is not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from hydra.errors import HydraException

from gapo_lab.config.fast_compose import Composed, Composer
from gapo_lab.errors import UserError
from gapo_lab.models.model_digest import checkpoint_digest
from gapo_lab.planning.run_key import science_settings
from gapo_lab.planning.spec import Spec
from gapo_lab.runs import naming
from gapo_lab.utils.key_names import short
from gapo_lab.utils.text import in_quotes

# Config groups that are named where they are not what the model brings along.
NAMED = ("data", "reward", "scale", "recipe", "backend")
# Config groups whose files say why and where a run is made: what else they set is a difference, not a default.
NO_DEFAULTS = {"sweep": None, "search": None, "cluster": "cluster/local"}
_KEY = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_ABSENT = object()


@dataclass(frozen=True)
class _Defaults:
    """A configuration of config files alone, and its science."""

    composed: Composed
    science: Mapping[str, object]

    def __getitem__(self, key: str) -> Any:
        return self.composed.resolved.get(key)


class Namer:
    """Names the runs of one plan; keeps what their cells share."""

    def __init__(self, composer: Composer) -> None:
        self.composer = composer
        self._found: dict[tuple, dict[str, Any]] = {}
        self._composed: dict[tuple[str, ...], _Defaults] = {}

    def named(self, spec: Spec, composed: Composed) -> Spec:
        """Return ``spec`` with what its name needs; unchanged where its config files alone cannot be composed."""
        same = (spec.cell, *(override for override in spec.overrides if not override.startswith("seed=")))
        if same not in self._found:
            self._found[same] = self._find(spec, composed)
        return replace(spec, **self._found[same])

    def _find(self, spec: Spec, composed: Composed) -> dict[str, Any]:
        values = {"noise": spec.noise} | ({"tau": spec.tau} if spec.tau is not None else {})
        try:
            alone = _defaults(self.composer.files_alone(spec.overrides, NO_DEFAULTS, values))
        except (UserError, HydraException):
            return {}
        usual = self._compose(self._choice("model", composed, spec))
        files = self._files(spec, composed, alone, usual)
        differs = {**files, **_places(composed, alone), **_settings(composed, alone)}
        return {"differs": differs, "weights": self._weights(spec, composed, usual)}

    def _choice(self, group: str, composed: Composed, spec: Spec) -> tuple[str, ...]:
        """Return the override that chooses the run's file of ``group``; none where nobody knows it."""
        name = str(composed.resolved.get(f"{group}.name"))
        if self.composer.has(group, name):
            return (f"{group}={in_quotes(name)}",)
        # in quotes already where it needs them
        given = naming.given_overrides({"overrides": spec.overrides}).get(group)
        return (f"{group}={given}",) if given else ()

    def _compose(self, overrides: tuple[str, ...]) -> _Defaults:
        if overrides not in self._composed:
            self._composed[overrides] = _defaults(self.composer.compose(overrides))
        return self._composed[overrides]

    def _files(self, spec: Spec, composed: Composed, alone: _Defaults, usual: _Defaults) -> dict[str, object]:
        """Return the config files that the model does not bring along and that change what this run computes."""
        chosen = {
            group: str(alone[f"{group}.name"])
            for group in NAMED
            if alone[f"{group}.name"] != usual[f"{group}.name"]
            and self.composer.has(group, str(alone[f"{group}.name"]))
        }
        if not chosen:
            return {}
        method = (*self._choice("model", composed, spec), *self._choice("algo", composed, spec))

        def science(files: Mapping[str, str]) -> Mapping[str, object]:
            return self._compose((*method, *(f"{group}={in_quotes(name)}" for group, name in files.items()))).science

        return {
            group: name
            for group, name in chosen.items()
            if science({g: n for g, n in chosen.items() if g != group}) != science(chosen)
        }

    def _weights(self, spec: Spec, composed: Composed, usual: _Defaults) -> str | None:
        """Return what the model is called where its weights are another model's and nobody has named it."""
        path, own = str(composed.resolved["model.path"]), str(usual["model.path"])
        rule = usual.composed.written["model.path"]
        if "model.name" in naming.given_overrides({"overrides": spec.overrides}):
            return None
        if composed.resolved["model.name"] != usual["model.name"]:
            return None  # a file of its own has named it
        if path == own or composed.written["model.path"] == rule:
            return None
        if rule == own and naming.weights_name(path) == PurePosixPath(own).name:
            return None  # a copy of what would be fetched
        digest = checkpoint_digest(Path(path))
        if digest and digest == checkpoint_digest(Path(own)):
            return None
        name = naming.weights_name(path)
        taken = (name,) if self.composer.has("model", name) else ()
        return naming.weights_name(path, taken, spec.science.get("checkpoint"))


def _defaults(composed: Composed) -> _Defaults:
    return _Defaults(composed, science_settings(composed.written, composed.resolved))


def _settings(composed: Composed, alone: _Defaults) -> dict[str, object]:
    """Return the settings of the science that differ from ``alone`` for no other reason than themselves, by short name.

    data.max_response_length=64 also changes what refers to it; only the former is a reason.
    """
    science = science_settings(composed.written, composed.resolved)
    different = {
        key
        for key in science.keys() | alone.science.keys()
        if science.get(key, _ABSENT) != alone.science.get(key, _ABSENT)
    }
    reasons = [key for key in different if not _follows(key, different, composed, alone.composed)]
    keys = composed.written.keys()
    return dict(sorted((short(key, keys), composed.resolved.get(key)) for key in reasons))


def _follows(key: str, different: set[str], composed: Composed, alone: Composed) -> bool:
    """Whether the value of ``key`` is what the default's interpolation makes of other keys that differ."""
    rule = alone.written.get(key)
    if not any(other in different for other in _read(key, alone.written) if other != key):
        return False
    whole = re.fullmatch(r"\$\{([\w.-]+)\}", str(rule))
    return rule == composed.written.get(key) or (
        whole is not None and composed.resolved.get(whole[1]) == composed.resolved.get(key)
    )


def _read(key: str, written: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the keys that the interpolation at ``key`` reads, directly or through others."""
    value = written.get(key)
    if not isinstance(value, str) or "${" not in value:
        return
    for other in _KEY.findall(value):
        if other in written and other not in seen:
            yield other
            yield from _read(other, written, seen | {other})


def _places(composed: Composed, alone: _Defaults) -> dict[str, object]:
    """Return where the data are found, where that was given: their content is in the run key."""
    return {
        key: naming.place_name(value)
        for key in naming.PLACES
        if (value := composed.resolved.get(key)) and value != alone[key]
    }
