"""Ray for one run: its own cluster, ports and folder, ended with the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from gapo_lab.launch.worker_nodes import PATIENCE_SECONDS, cpus, invited, start_ray


@contextmanager
def cluster(
    config: DictConfig, py_executable: str | None = None, folder: Path | None = None
) -> Iterator[None]:
    """A Ray cluster for the time of the block: this node, and those of the job that help it.

    config: verl's, whose `ray_kwargs.ray_init` wins over what is chosen here.
    py_executable: what starts Ray's workers (`fork_server.command`); None is this Python.
    folder: Ray's own folder; short, because it holds Unix sockets.
    """
    import ray
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

    here, nodes = config.trainer.n_gpus_per_node, config.trainer.nnodes
    runtime_env = get_ppo_ray_runtime_env(config)
    runtime_env["env_vars"].update(TRANSFER_QUEUE_ENABLE="1", TOKENIZERS_PARALLELISM="false")
    if py_executable:
        runtime_env["py_executable"] = py_executable
    wanted = {
        "include_dashboard": False,
        "log_to_driver": True,
        "runtime_env": runtime_env,
        "_temp_dir": str(folder),
    }
    if config.trainer.device == "cpu":
        # verl books three CPUs a worker and counts GPUs, whatever the machine has
        wanted.update(num_cpus=cpus(here), num_gpus=here, object_store_memory=500_000_000)
    asked = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)
    patience = OmegaConf.select(config, "cluster.ray_patience", default=PATIENCE_SECONDS)
    address = start_ray(patience, **_merged(wanted, asked))
    try:
        if nodes == 1:
            yield
        else:
            with invited(address, folder / "token", nodes, patience):
                yield
    finally:
        ray.shutdown()


def _merged(chosen: dict, asked: dict) -> dict:
    """`asked` over `chosen`, node by node; a null asks for nothing."""
    out = dict(chosen)
    for key, value in asked.items():
        if isinstance(value, dict):
            out[key] = _merged(out.get(key) or {}, value)
        elif value is not None:
            out[key] = value
    return out
