"""The rollout manager of backend=cpu, without servers."""

from __future__ import annotations

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.models.nano import tokenizer as nano

pytestmark = pytest.mark.verl


def test_a_prompt_that_is_too_long_is_refused_and_not_cut():
    from gapo_lab.training.cpu.rollout_manager import BatchedRolloutManager

    manager = BatchedRolloutManager(compose_run(["data.max_prompt_length=20"]), [], nano.load())
    assert len(manager._tokenize([{"role": "user", "content": "a"}])) <= 20
    wanted = r"a prompt of \d+ tokens is longer than data.max_prompt_length=20. Raise that key."
    for _ in range(2):  # what was refused is not remembered as a prompt that fits
        with pytest.raises(ValueError, match=wanted):
            manager._tokenize([{"role": "user", "content": "a " * 300}])
