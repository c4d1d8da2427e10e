"""The configuration of a model that answers and is not trained: what `evaluate model=...` and `probe` take."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from gapo_lab.config import search_path
from gapo_lab.config.compose import compose_run
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.planning.validation import EVALUATED, faults
from gapo_lab.utils.dotted import flatten


def composed(words: Sequence[str]) -> DictConfig:
    """Compose and resolve these overrides. UserError if their model, data or reward cannot work."""
    keys = {word.partition("=")[0] for word in words}
    known = [*words]
    answers_only = "data.id" in keys and "data.train" not in keys
    if answers_only:
        known.append(next(word for word in words if word.startswith("data.id=")).replace("data.id=", "data.train=", 1))
    # nothing is trained: a test set may be smaller than a batch
    known += [word for word in ("data.train_batch_size=1",) if word.partition("=")[0] not in keys]
    composed = compose_run(search_path.use(known))
    written = flatten(OmegaConf.to_container(composed, resolve=False))
    config = OmegaConf.create(OmegaConf.to_container(composed, resolve=True))
    if wrong := faults(ConfigView.of(config), written, EVALUATED):
        lines = [one.replace("data.train=", "data.id=", 1) if answers_only else one for one in wrong]
        raise UserError("\n".join(dict.fromkeys(lines)))
    return config
