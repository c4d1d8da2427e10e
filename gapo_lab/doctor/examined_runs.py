"""What is examined: the runs of a plan, as far as the checks look at them. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

ATTENTION = "actor_rollout_ref.model.override_config.attn_implementation"
DATA = ("data.name", "data.path", "data.repos", "data.train", "data.ood", "data.ood_path", "data.template")
# What the checks read of a run's settings.
READ = ("model.", "backend.", "data.", "cluster.", "trainer.", "reward.", "metric", "tracking", "run_root", ATTENTION)
REWARD = ("reward.name", "reward.timeout", "reward.custom_reward_function.")
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class ExaminedRuns:
    """settings: of the runs to examine, by dotted key; alike ones may stand there once. need: bytes of checkpoints.

    root: the folder of the run folders, absolute.
    """

    settings: tuple[Settings, ...]
    root: Path
    need: float = 0.0

    @classmethod
    def of(cls, settings: Iterable[Settings], root: Path, need: float) -> Self:
        """Keep of the settings what is read, and of runs that are alike in it one."""
        read = ({k: v for k, v in one.items() if k.startswith(READ)} for one in settings)
        return cls(tuple({repr(sorted(one.items())): one for one in read}.values()), Path(root).absolute(), need)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        return cls(tuple(raw["settings"]), Path(raw["root"]), raw["need"])

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "root": str(self.root)}

    @property
    def first(self) -> Settings:
        return self.settings[0]

    @property
    def is_cluster(self) -> bool:
        """Whether the runs do not happen on this machine."""
        return self.first["cluster.name"] != "local"

    @property
    def on_gpus(self) -> tuple[Settings, ...]:
        return tuple(one for one in self.settings if one["backend.needs_gpu"])

    @property
    def gpus_of_a_node(self) -> int:
        """GPUs that the largest run needs on a node; 0 where none needs one."""
        return max((one["trainer.n_gpus_per_node"] for one in self.on_gpus), default=0)

    @property
    def models(self) -> dict[str, str]:
        """Where the weights of each model are, by its name."""
        return {one["model.name"]: one["model.path"] for one in self.settings}

    @property
    def backends(self) -> list[str]:
        return sorted({one["backend.name"] for one in self.settings})

    @property
    def attentions(self) -> dict[str, bool]:
        """The attentions of runs on GPUs, and whether each was asked for by name."""
        return {one[ATTENTION]: one.get("backend.attention") != "auto" for one in self.on_gpus if one.get(ATTENTION)}

    @property
    def data(self) -> list[Settings]:
        """One run of each kind of data."""
        return _one_each(self.settings, lambda one: repr([one.get(key) for key in DATA]))

    @property
    def rewards(self) -> list[Settings]:
        """One run of each reward with each data and main measure."""

        def alike(one: Settings) -> str:
            said = [value for key, value in sorted(one.items()) if key.startswith(REWARD)]
            return repr([*said, one.get("metric"), *(one.get(key) for key in DATA)])

        return _one_each(self.settings, alike)


def _one_each(runs: Sequence[Settings], key: Any) -> list[Settings]:
    found: dict[Hashable, Settings] = {}
    for one in runs:
        found.setdefault(key(one), one)
    return list(found.values())
