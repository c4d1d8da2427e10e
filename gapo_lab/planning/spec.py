"""What one run computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gapo_lab.config.interpolations import resolved_values
from gapo_lab.planning.run_key import run_key, science
from gapo_lab.runs import claims, naming
from gapo_lab.utils.dotted import flatten


@dataclass(frozen=True)
class Spec:
    """One run: the words that name it and the settings that make it.

    ``differs``: what else differs from the defaults, by short name; None where nobody has looked
    (``gapo_lab.planning.differs_from_defaults``). ``weights``: what the model is called where its weights are not its
    own.
    ``claims``: what its study is to decide (`gapo_lab.runs.claims`); None where nothing was named. ``label``: what
    tables call its method, where it is not one of ours.
    """

    study: str
    model: str
    algo: str
    tau: float | None
    seed: int
    data: str
    scale: str
    backend: str
    overrides: tuple[str, ...]
    science: dict[str, Any]
    differs: dict[str, Any] | None = None
    weights: str | None = None
    claims: tuple[str, ...] | None = None
    label: str | None = None

    @cached_property
    def key(self) -> str:
        """The run key (`planning/run_key.py`)."""
        return run_key(self.model, self.seed, self.science)

    @property
    def noise(self) -> float:
        """Share of training rollouts whose reward is an outlier; 0 without noise."""
        return self.science.get("noise", 0)

    @property
    def name(self) -> str:
        """As a person would say it: `nano gapo_grpo tau=0.5 lr=1e-4 seed=0`."""
        return naming.run_name(self.as_dict())

    @cached_property
    def cell(self) -> str:
        """The cell's id: the same for runs that differ only in their seed."""
        return naming.cell_id({"model": self.model, "science": self.science})

    def as_dict(self) -> dict:
        """Plain values, with the key, as written to spec.yaml."""
        unsaid = {name for name in ("differs", "weights", "claims", "label") if getattr(self, name) is None}
        values = {one.name: _copied(getattr(self, one.name)) for one in fields(self) if one.name not in unsaid}
        return {**values, "key": self.key}

    def with_seed(self, seed: int, overrides: tuple[str, ...]) -> Spec:
        """Return the same run with another seed, in words that say so; it is of the same cell."""
        other = replace(self, seed=seed, overrides=overrides)
        other.__dict__["cell"] = self.cell  # as if it had been asked for: hashing it costs more than all the rest
        return other


def _copied(value: Any) -> Any:
    """Return the same plain values, none of them shared: YAML would say that two places hold the same list."""
    if isinstance(value, (list, tuple)):
        return [_copied(one) for one in value]
    return {name: _copied(one) for name, one in value.items()} if isinstance(value, dict) else value


def make_spec(config: DictConfig, overrides: tuple[str, ...] = ()) -> Spec:
    """Return the spec of a composed configuration. Interpolations are resolved here."""
    written = flatten(OmegaConf.to_container(config, resolve=False))
    return spec_of(written, resolved_values(config), overrides)


def spec_of(written: Mapping[str, Any], resolved: Mapping[str, Any], overrides: tuple[str, ...] = ()) -> Spec:
    """Return the spec of a configuration by dotted key: as written, and with its interpolations resolved."""
    tau = resolved.get(f"algorithm.{resolved.get('algorithm.adv_estimator')}.tau")
    return Spec(
        study=resolved["study"],
        model=resolved["model.name"],
        algo=resolved["algo.name"],
        tau=None if tau is None else float(tau),
        seed=resolved["seed"],
        data=resolved["data.name"],
        scale=resolved["scale.name"],
        backend=resolved["backend.name"],
        overrides=tuple(overrides),
        science=science(written, resolved),
        label=resolved.get("algo.label"),
        claims=None if resolved.get("claims") is None else tuple(map(str, claims.read(resolved["claims"]))),
    )
