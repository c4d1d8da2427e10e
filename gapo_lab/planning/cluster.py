"""Where a run happens and what it asks for: the `cluster` node of its configuration (conf/cluster/, slurm/), typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from gapo_lab.errors import UserError
from gapo_lab.utils.dotted import unflatten
from gapo_lab.utils.key_names import did_you_mean

LOCAL, SLURM = "local", "slurm"
LISTS = ("setup", "container", "shell_variables")
# How sbatch is asked for GPUs.
GPU_OPTIONS = ("gpus-per-node", "gres", "none")


@dataclass(frozen=True)
class ClusterConfig:
    """The meaning of each setting stands in conf/cluster/slurm.yaml; the defaults are those of this machine."""

    name: str = LOCAL
    max_parallel: int = 1
    # of this machine only
    warm: bool = True
    # of both
    nodes: int = 1
    gpus: int | None = None
    gpu_memory: float | None = None
    ray_patience: float = 300
    # of SLURM only
    cpus: int = 4
    cpus_per_gpu: int = 8
    gpu_option: str = "gpus-per-node"
    gpu_type: str | None = None
    memory: float | None = None
    hours: float = 24
    requeues: int = 20
    grace: float | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    setup: tuple[str, ...] = ()
    container: tuple[str, ...] = ()
    sbatch: Mapping[str, Any] = field(default_factory=dict)
    shell_variables: tuple[str, ...] = ()
    array_size: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read a run's settings by dotted key. UserError for a setting of a cluster that there is not."""
        start = "cluster."
        node = unflatten({key.removeprefix(start): v for key, v in settings.items() if key.startswith(start)})
        if unknown := sorted(set(node) - KEYS):
            near = did_you_mean(unknown[0], KEYS, "cluster.")
            hint = f" ({near})" if near else ""
            raise UserError(f"cluster.{unknown[0]}: no such setting{hint}. Options of sbatch go into cluster.sbatch.")
        if node.get("name") not in (LOCAL, SLURM):
            raise UserError(f"cluster.name={node.get('name')}: must be {LOCAL} or {SLURM}")
        return cls.from_json(node)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Read plain values; what another version has beside ours is left out."""
        known = {name: value for name, value in raw.items() if name in KEYS}
        lists = {name: tuple(map(str, known.get(name) or ())) for name in LISTS}
        return cls(**{**known, **lists})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_local(self) -> bool:
        """Whether runs happen on this machine."""
        return self.name == LOCAL

    @property
    def sbatch_options(self) -> dict[str, Any]:
        """``sbatch``, its names as submitit writes them: `gpus_per_node`, however it was spelled."""
        return {name.lstrip("-").replace("-", "_"): value for name, value in self.sbatch.items()}

    @property
    def cores(self) -> int:
        """Cores of one node that a run asks for."""
        if said := self.sbatch_options.get("cpus_per_task"):
            return int(said)
        return self.gpus * self.cpus_per_gpu if self.gpus else self.cpus


KEYS = frozenset(one.name for one in fields(ClusterConfig))
