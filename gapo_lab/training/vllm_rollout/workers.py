"""How many processes send requests to vLLM and score its answers: as many as the machine's cores carry."""

from __future__ import annotations

from omegaconf import DictConfig, open_dict

from gapo_lab.utils.machine import cores

# verl's own number, whatever the machine: each process takes 0.8 GB and a core while it starts.
MOST = 8
CORES_EACH = 4


def fit(config: DictConfig) -> None:
    """Fill in the numbers of agent-loop and reward workers that are left open."""
    number = workers(cores() * config.trainer.nnodes)
    with open_dict(config):
        for node in (config.actor_rollout_ref.rollout.agent, config.reward):
            if node.num_workers is None:
                node.num_workers = number


def workers(cores: int) -> int:
    """Return one for every four cores, at least one and at most what verl takes."""
    return min(MOST, max(1, cores // CORES_EACH))
