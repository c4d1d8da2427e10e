"""What verl loads in every process (`VERL_USE_EXTERNAL_MODULES`): our platform, engine, servers and estimators.

Extension points only. The one private name of verl that is used stands here, and
tests/unit/training/test_verl_contract.py fails when it changes.
"""

from __future__ import annotations

import os

# the platform first: verl asks for it while it is imported
if os.environ.get("VERL_PLATFORM") == "cpu":
    import gapo_lab.training.cpu.engine

from verl.workers.rollout import base as _rollout_base  # isort: skip
from verl.workers.rollout.replica import RolloutReplicaRegistry  # isort: skip

import gapo_lab.training.noisy_reward
import gapo_lab.training.registered_methods  # noqa: F401  both register themselves
from gapo_lab.training import adapter_seed, collective_timeout

collective_timeout.use()
adapter_seed.use()


def _load_cpu_replica():
    from gapo_lab.training.cpu.rollout_replica import CpuReplica

    return CpuReplica


def _load_vllm_replica():
    from gapo_lab.training.vllm_rollout.replica import RunReplica

    return RunReplica


RolloutReplicaRegistry.register("gapo_cpu", _load_cpu_replica)
RolloutReplicaRegistry.register("vllm", _load_vllm_replica)
# verl has no public way to add a rollout adapter by name
_rollout_base._ROLLOUT_REGISTRY |= {
    ("gapo_cpu", "async"): "gapo_lab.training.cpu.rollout_replica.CpuServerAdapter",
    ("vllm", "async"): "gapo_lab.training.vllm_rollout.replica.RunAdapter",
}
