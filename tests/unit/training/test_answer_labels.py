"""A validation's answers say which case they belong to; verl writes that down and takes no mean of it."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from gapo_lab.training import reward_function, user_reward
from gapo_lab.training.answer_labels import labelled, labels

FUNCTIONS = [
    *(f for name, f in vars(reward_function).items() if name.startswith("compute_")),
    user_reward.score,
    user_reward.score_async,
]


def test_a_case_is_named_by_set_decoding_and_task():
    assert labels("id", {"id": "micro/7", "index": 7}) == {"set": "id", "greedy": "no", "task": "micro/7"}
    assert labels("ood_greedy", {"index": 3}) == {"set": "ood", "greedy": "yes", "task": "3"}
    assert labels("train", {"id": "x"}) == {} and labels("id", None)["task"] == ""


def test_the_edit_reward_says_it_of_validations_alone():
    found = reward_function.compute_score("id_greedy", "x = 1", "x = 1", {"id": "a"})
    assert found["em"] == 1 and (found["set"], found["greedy"], found["task"]) == ("id", "yes", "a")
    assert "task" not in reward_function.compute_score("train", "x = 1", "x = 1", {"id": "a"})


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_reward_function_does(function):
    assert inspect.unwrap(function) is not function


def test_an_async_reward_is_labelled_and_what_it_says_itself_stays():
    @labelled
    async def reward(data_source, solution_str, ground_truth, extra_info=None):
        return {"score": 1.0, "task": "mine"}

    assert inspect.iscoroutinefunction(reward)
    found = asyncio.run(reward("id", solution_str="", ground_truth="", extra_info={"id": "a"}))
    assert found == {"score": 1.0, "set": "id", "greedy": "no", "task": "mine"}


@pytest.mark.verl
def test_verl_takes_no_mean_of_texts():
    from verl.trainer.ppo.metric_utils import process_validation_metrics

    infos = {"reward": [1.0, 0.0], "em": [1.0, 0.0], "task": ["a", "b"], "set": ["id", "id"], "greedy": ["no", "no"]}
    found = process_validation_metrics(["id", "id"], ["u", "v"], infos)
    assert set(found["id"]) == {"reward", "em"}
