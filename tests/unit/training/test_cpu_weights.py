"""The actor's weights on their way to the rollout server of a CPU."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
import torch

pytestmark = pytest.mark.verl


@pytest.fixture
def adapter():
    """An adapter whose server loses the first call on its way, as Ray says it; and what has arrived."""
    import ray

    from gapo_lab.training.cpu.rollout_replica import CpuServerAdapter

    calls, arrived = [], []

    async def remote(bucket, *version):
        calls.append(bucket)
        if len(calls) == 1:
            lost = ray.exceptions.ObjectFetchTimedOutError("00" * 28, "", "")
            raise ray.exceptions.RayTaskError("update_weights", "", lost).as_instanceof_cause()
        arrived.append(([name for name, _ in bucket], *version))

    adapter = object.__new__(CpuServerAdapter)
    adapter.config = SimpleNamespace(checkpoint_engine=SimpleNamespace(update_weights_bucket_megabytes=1))
    adapter._server = SimpleNamespace(update_weights=SimpleNamespace(remote=remote))
    adapter.arrived = arrived
    return adapter


def test_weights_that_ray_lost_are_sent_again(adapter):
    weights = ((name, torch.zeros(1 << 17)) for name in "abc")  # half a megabyte each
    asyncio.run(adapter.update_weights(weights, global_steps=7))
    assert adapter.arrived == [(["a", "b"],), (["c"], 7)]
