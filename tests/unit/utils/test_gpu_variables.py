"""Variables that name GPUs: SLURM may set AMD's beside NVIDIA's, and verl ends where it meets both."""

from __future__ import annotations

import pytest

from gapo_lab.utils import gpu_variables


@pytest.mark.parametrize("name", gpu_variables.OTHERS)
def test_amds_go_where_nvidias_is_set(name):
    variables = {"CUDA_VISIBLE_DEVICES": "0,1", name: "0,1", "HOME": "/me"}
    gpu_variables.keep_one(variables)
    assert variables == {"CUDA_VISIBLE_DEVICES": "0,1", "HOME": "/me"}


def test_amds_stay_on_amds_machine():
    variables = {"ROCR_VISIBLE_DEVICES": "0,1"}
    gpu_variables.keep_one(variables)
    assert variables == {"ROCR_VISIBLE_DEVICES": "0,1"}
