"""verl's vLLM replica, server and adapter with one thing changed: the socket for weights belongs to one run.

verl names that socket by the number of the job in its Ray cluster. Each of our runs has a cluster of its own, so that
the number is always the same, and two runs on one machine would share the socket.
"""

from __future__ import annotations

import os
from pathlib import Path

import ray
from verl.workers.rollout.vllm_rollout import ServerAdapter
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica

from gapo_lab.utils import scratch, shared_memory


def run_id() -> str:
    """Return Ray's job number, made unique on this machine by the name of the attempt's scratch folder."""
    return f"{ray.get_runtime_context().get_job_id()}-{scratch.name()}"


class RunServer(vLLMHttpServer):
    """verl's server; the vLLM workers that it starts take the socket's name from its environment."""

    def _post_init(self, cuda_visible_devices: str) -> None:
        os.environ["VERL_RAY_JOB_ID"] = run_id()
        super()._post_init(cuda_visible_devices)


class RunReplica(vLLMReplica):
    """verl's replica; it starts a `RunServer`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.server_class = ray.remote(RunServer)


class RunAdapter(ServerAdapter):
    """verl's adapter, in the actor's process: it binds the socket."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        shared_memory.record_into(Path(os.environ[scratch.MARK]))
        verls: str = self.zmq_handle  # type: ignore[has-type]
        self.zmq_handle = verls.replace(ray.get_runtime_context().get_job_id(), run_id())
