"""Which of the variables that name a node's GPUs a training process may see."""

from __future__ import annotations

from collections.abc import MutableMapping

NVIDIA = "CUDA_VISIBLE_DEVICES"
# AMD's names for the same. Where gres.conf has no AutoDetect, SLURM sets one of them beside NVIDIA's.
OTHERS = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


def keep_one(variables: MutableMapping[str, str]) -> None:
    """Remove AMD's variables where NVIDIA's is set, which both read: with two of them verl ends each of its workers."""
    if variables.get(NVIDIA):
        for name in OTHERS:
            variables.pop(name, None)
