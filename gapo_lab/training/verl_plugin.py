"""What verl loads in every process (`VERL_USE_EXTERNAL_MODULES`): our platform, engine, server and estimators.

Extension points only. The one private name of verl that is used stands here, and
tests/unit/training/test_verl_contract.py fails when it changes.
"""

from __future__ import annotations

import os

if os.environ.get("VERL_PLATFORM") == "cpu":
    # the platform first: verl asks for it while it is imported
    from verl.workers.rollout import base as _rollout_base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    import gapo_lab.training.cpu.engine

    def _load_replica():
        from gapo_lab.training.cpu.rollout_replica import CpuReplica

        return CpuReplica

    RolloutReplicaRegistry.register("gapo_cpu", _load_replica)
    # verl has no public way to add a rollout adapter by name
    _rollout_base._ROLLOUT_REGISTRY[("gapo_cpu", "async")] = (
        "gapo_lab.training.cpu.rollout_replica.CpuServerAdapter"
    )

import gapo_lab.training.estimators
import gapo_lab.training.noisy_reward  # noqa: F401  registers itself
