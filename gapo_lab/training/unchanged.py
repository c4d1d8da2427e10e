"""Whether data and model are still what the run was planned with: its key names them by their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gapo_lab.data import content_digest
from gapo_lab.errors import UserError
from gapo_lab.models import smollm2
from gapo_lab.models.model_digest import checkpoint_digest, reading_digest

# The keys of `data` that name what lies elsewhere.
PLACES = ("train", "id", "dev", "ood", "path", "repos", "template")


def check(config: DictConfig, science: Mapping[str, Any]) -> None:
    """Raise UserError where data or model have been edited since the run was planned, which would be another run.

    config: the run's configuration. science: what its spec holds; what it says nothing about is not looked at.
    """
    for what in _changed(config, science):
        raise UserError(
            f"{what} has changed since the run was planned. Give the same command again: it starts a new run"
        )


def _changed(config: DictConfig, science: Mapping[str, Any]) -> Iterator[str]:
    if "data.content" in science:
        data: Any = OmegaConf.to_container(config.data, resolve=True)
        if content_digest.of(data) != science["data.content"]:
            yield _named(data)
    if science.get("checkpoint") not in (None, smollm2.VERSION):  # the packaged model is named by its version
        path = Path(config.model.path)
        if (checkpoint_digest(path) or config.model.path) != science["checkpoint"]:
            yield f"model.path={path}"
        if reading_digest(path) != science.get("checkpoint.reading"):
            yield f"model.path={path}: its tokenizer, chat template or configuration"


def _named(data: Mapping[str, Any]) -> str:
    """Return the settings that name the data: the key holds one hash of all of them."""
    given = [f"data.{key}={_shown(data[key])}" for key in PLACES if data.get(key)]
    return given[0] if len(given) == 1 else f"one of {', '.join(given)}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_shown(one)}" for name, one in value.items()) + "}"
    return f"[{','.join(map(str, value))}]" if isinstance(value, (list, tuple)) else str(value)
