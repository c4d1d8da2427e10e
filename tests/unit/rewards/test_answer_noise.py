"""The noise of K answers a task, against the spread of means that are drawn again and again."""

from __future__ import annotations

import numpy as np
import pytest

from gapo_lab.rewards.answer_noise import answer_noise


def test_it_is_the_spread_of_the_mean_over_draws():
    random = np.random.default_rng(0)
    chances = random.random(40)
    draws = (random.random((4000, 40, 8)) < chances[:, None]).astype(float)
    tasks = [f"t{i}" for i in range(40) for _ in range(8)]
    told = [
        answer_noise(["id"] * 320, tasks, {"acc": one.ravel().tolist()})["val/id/acc_answer_noise"]
        for one in draws[:200]
    ]
    assert np.mean(told) == pytest.approx(draws.mean(axis=(1, 2)).std(), rel=0.05)


def test_one_answer_a_task_and_texts_tell_nothing():
    found = answer_noise(
        ["id", "id", "id", "id", "ood", "ood"],
        ["a", "a", "b", "b", "c", "d"],
        {"acc": [1.0, 0.0, 1.0, 1.0, 1.0, 0.0], "why": ["x"] * 6},
    )
    assert found == {"val/id/acc_answer_noise": pytest.approx(0.25)}  # sqrt((0.5 + 0) / 2) / 2
