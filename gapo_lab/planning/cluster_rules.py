"""Checks of the `cluster` node: what SLURM or Ray would refuse only after the runs were claimed, or once they start."""

from __future__ import annotations

from collections.abc import Iterator

from gapo_lab.config.view import ConfigView
from gapo_lab.planning.cluster import LISTS, ClusterConfig
from gapo_lab.utils.ray_cpus import STORAGE_UNITS, booked

# Options of sbatch that a job is followed by, and the word to use in their place.
DECIDED = {
    "array": "cluster.array_size",
    "error": "the log of a job: python -m gapo_lab logs",
    "gpus": "cluster.gpus",
    "gres": "cluster.gpu_option=gres and cluster.gpu_type",
    "gpus_per_node": "cluster.gpu_type",
    "gpus_per_task": "cluster.gpus",
    "job_name": "study",
    "nodes": "cluster.nodes",
    "ntasks": "cluster.nodes: one task a node",
    "ntasks_per_node": "cluster.nodes: one task a node",
    "open_mode": "nothing: a requeued job must not overwrite its output",
    "output": "the log of a job: python -m gapo_lab logs",
    "signal": "cluster.grace",
}
NUM_CPUS = "ray_kwargs.ray_init.num_cpus"


def check_cluster(config: ConfigView) -> Iterator[str]:
    """Yield a line for each setting of where a run happens that cannot work."""
    cluster = ClusterConfig.of(config.flat())
    for rule in (_nodes, _site, _ray):
        yield from rule(config)
    yield from _gpus(config, cluster)
    yield from _sbatch(cluster)
    if not isinstance(cluster.warm, bool):
        yield f"cluster.warm={cluster.warm}: must be true or false"
    if cluster.is_local and cluster.nodes > 1:
        yield f"cluster.nodes={cluster.nodes}: this machine is one node. Take cluster=slurm"


def _nodes(config: ConfigView) -> Iterator[str]:
    if config.trainer.nnodes != config.cluster.nodes:
        yield (
            f"trainer.nnodes={config.trainer.nnodes}: the nodes of a run are cluster.nodes={config.cluster.nodes}; "
            "set cluster.nodes and leave trainer.nnodes out"
        )


def _site(config: ConfigView) -> Iterator[str]:
    for key in LISTS:
        value = config.cluster.get(key)
        if value is not None and not isinstance(value, list):
            yield f"cluster.{key}={value}: must be a list: 'cluster.{key}=[{value}]'"
    hours, grace = config.cluster.get("hours"), config.cluster.get("grace")
    if _is_number(hours) and _is_number(grace) and grace >= hours * 3600:
        yield f"cluster.grace={grace}: is not less than the time limit of cluster.hours={hours:g}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _gpus(config: ConfigView, cluster: ClusterConfig) -> Iterator[str]:
    if cluster.gpu_type is not None and cluster.gpu_option == "none":
        yield f"cluster.gpu_type={cluster.gpu_type}: no option of sbatch asks for it. Set cluster.gpu_option"
    gpus, wanted = config.cluster.get("gpus"), config.trainer.n_gpus_per_node
    if config.backend.needs_gpu and (isinstance(gpus, bool) or not isinstance(gpus, int) or gpus < wanted):
        yield (
            f"cluster.gpus={gpus} is not trainer.n_gpus_per_node={wanted}. Set trainer.n_gpus_per_node only and leave "
            "cluster.gpus out"
        )


def _sbatch(cluster: ClusterConfig) -> Iterator[str]:
    for name in sorted(cluster.sbatch_options.keys() & DECIDED.keys()):
        yield f"cluster.sbatch.{name}: is decided here. Use {DECIDED[name]}"


def _ray(config: ConfigView) -> Iterator[str]:
    """Whether Ray is told of the CPUs that verl books: it would wait for the missing ones for ever."""
    units = config.select("transfer_queue.backend.SimpleStorage.num_data_storage_units") or STORAGE_UNITS
    told, need = config.select(NUM_CPUS), booked(config.trainer.n_gpus_per_node, units)
    if told is not None and told < need:
        yield f"{NUM_CPUS}={told}: a run books {need}, whatever the machine has. Leave it out."
