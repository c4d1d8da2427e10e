"""Agent-loop and reward workers: as many as the cores carry, unless a number was given."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from gapo_lab.training.vllm_rollout import workers


@pytest.mark.parametrize(("cores", "number"), [(1, 1), (2, 1), (7, 1), (16, 4), (32, 8), (128, 8)])
def test_one_for_every_four_cores(cores, number):
    assert workers.workers(cores) == number


def test_a_number_that_was_given_stays(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 16)
    config = OmegaConf.create(
        {
            "trainer": {"nnodes": 2},
            "actor_rollout_ref": {"rollout": {"agent": {"num_workers": None}}},
            "reward": {"num_workers": 3},
        }
    )
    workers.fit(config)
    assert (config.actor_rollout_ref.rollout.agent.num_workers, config.reward.num_workers) == (8, 3)
