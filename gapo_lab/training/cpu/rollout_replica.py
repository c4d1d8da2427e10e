"""The two sides verl wants of a rollout backend: a replica that starts servers, an adapter that feeds them."""

from __future__ import annotations

import os
from collections.abc import Generator

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica

from gapo_lab.training.cpu.rollout_server import CpuRolloutServer


def server_name(replica_rank: int) -> str:
    """Return the Ray name of a replica's server."""
    return f"gapo_rollout_server_{replica_rank}"


class CpuReplica(RolloutReplica):
    """One server a worker, on the worker's node."""

    async def launch_servers(self):
        """Start the server actor and wait until its model is built."""
        node = await self.workers[0].__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id())
        model = self.model_config
        server = (
            ray.remote(CpuRolloutServer)
            .options(
                name=server_name(self.replica_rank),
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False),
            )
            .remote(
                model_path=model.path,
                dtype=self.config.dtype,
                response_length=self.config.response_length,
                seed=self.config.seed,
                attention=dict(model.override_config or {}).get("attn_implementation", "sdpa"),
            )
        )
        await server.set_global_steps.remote(0)
        self.servers = [server]
        self._server_handle = server
        self._server_address = server_name(self.replica_rank)


class CpuServerAdapter(BaseRollout):
    """Lives in the worker; hands the actor's weights to the worker's server."""

    def __init__(self, config, model_config, device_mesh, **kwargs):
        super().__init__(config, model_config, device_mesh)
        self._server = None

    @property
    def server(self):
        """The server's handle; it starts after the worker, so it is looked up when first needed."""
        if self._server is None:
            self._server = ray.get_actor(server_name(int(os.environ["RANK"])))
        return self._server

    async def update_weights(
        self,
        weights: Generator[tuple[str, torch.Tensor], None, None],
        global_steps: int | None = None,
        **_,
    ):
        """Send the weights in buckets of the configured size; the last one carries the version."""
        limit = self.config.checkpoint_engine.update_weights_bucket_megabytes << 20
        bucket, size = [], 0
        for name, value in weights:
            value = value.detach().cpu()
            if bucket and size + value.nbytes > limit:
                await self._send(bucket)
                bucket, size = [], 0
            bucket.append((name, value))
            size += value.nbytes
        await self._send(bucket, global_steps)

    async def _send(self, *arguments: object) -> None:
        """Hand weights to the server; once more where Ray has lost sight of them, which changes nothing else."""
        try:
            await self.server.update_weights.remote(*arguments)
        except ray.exceptions.ObjectFetchTimedOutError:
            await self.server.update_weights.remote(*arguments)

    async def resume(self, tags: list[str]):
        """Nothing was released."""

    async def release(self):
        """Memory is not scarce."""
