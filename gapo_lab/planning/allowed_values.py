"""What a single setting may be: those of our own config nodes, and of verl's that every run has. Declarations only.

What several settings must be together is checked in `validation.py`; `method_rules.py` has the settings of methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gapo_lab.config.view import ConfigView
from gapo_lab.planning.cluster import GPU_OPTIONS
from gapo_lab.utils.value_rules import Rule, problem

COUNT = "whole [1, inf)"
VALUES: dict[str, Rule] = {
    "tracking": ("live", "later"),
    "seed": "whole [0, inf)",
    # the largest rank that vLLM has kernels for
    "lora": "whole [0, 512]",
    "data.train_batch_size": COUNT,
    "data.max_prompt_length": COUNT,
    "data.max_response_length": COUNT,
    "data.samples": COUNT,
    "data.ood_prompt": ("own", "template"),
    "actor_rollout_ref.rollout.n": COUNT,
    "actor_rollout_ref.actor.ppo_mini_batch_size": COUNT,
    "trainer.n_gpus_per_node": COUNT,
    "trainer.nnodes": COUNT,
    "trainer.total_training_steps": f"{COUNT} or null",
    "cluster.nodes": COUNT,
    "cluster.max_parallel": COUNT,
    # of cluster=slurm and the sites' presets
    "cluster.hours": "(0, inf)",
    "cluster.requeues": "whole [0, inf)",
    "cluster.grace": "[0, 65535] or null",
    "cluster.cpus": COUNT,
    "cluster.cpus_per_gpu": COUNT,
    "cluster.memory": "[0, inf) or null",
    "cluster.gpu_memory": "(0, inf) or null",
    "cluster.array_size": f"{COUNT} or null",
    "cluster.ray_patience": "(0, inf)",
    "cluster.gpu_option": GPU_OPTIONS,
}


def wrong_values(config: ConfigView, rules: Mapping[str, Rule] = VALUES) -> Iterator[str]:
    """Yield a line for each setting that is there and not allowed."""
    flat = config.flat()
    for key, rule in rules.items():
        if key in flat and (wrong := problem(flat[key], rule)):
            yield f"{key}={flat[key]}: {wrong}"
