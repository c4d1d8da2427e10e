"""Words that name a file of the user's own in place of a config file."""

from __future__ import annotations

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.user_overrides import user_function
from gapo_lab.errors import UserError


@pytest.mark.parametrize(
    ("word", "path", "name"),
    [
        ("mine.py", "mine.py", "compute_score"),
        pytest.param("rewards/mine.py:score", "rewards/mine.py", "score", marks=pytest.mark.slow),
        pytest.param("/home/me/mine.py:f", "/home/me/mine.py", "f", marks=pytest.mark.slow),
        pytest.param("../mine.py", "../mine.py", "compute_score", marks=pytest.mark.slow),
        ("package.module:score", "pkg://package.module", "score"),
        pytest.param('"my folder/mine.py"', "my folder/mine.py", "compute_score", marks=pytest.mark.slow),
    ],
)
def test_a_reward_is_named_by_its_file_or_its_module(word, path, name):
    config = compose_run([f"reward={word}"])
    assert (config.reward.custom_reward_function.path, config.reward.custom_reward_function.name) == (path, name)
    assert config.reward.name == word.strip('"')
    fast = Composer().compose([f"reward={word}"]).resolved
    assert fast["reward.custom_reward_function.path"] == path and fast["reward.name"] == word.strip('"')


@pytest.mark.parametrize("word", ["edit", "gsm8k", "my-reward", "module", "a b:c", "x.py:1", "mine.pyx"])
def test_other_words_are_config_files(word):
    assert user_function(word) is None


def test_a_word_that_is_neither_is_refused_with_what_there_is():
    with pytest.raises(UserError, match="no such reward.*edit.*reward=FILE.py:FUNCTION"):
        compose_run(["reward=edti"])
    with pytest.raises(UserError, match="no such data.*data=parquet data.train=FILE") as told:
        compose_run(["data=train.parquet"])
    assert "legacy_data" not in str(told.value)
    with pytest.raises(UserError, match="is a part of verl's own configuration, and no data to choose"):
        compose_run(["data=legacy_data"])
    with pytest.raises(UserError, match="~algo.label: the value is null already"):
        compose_run(["~algo.label"])


def test_a_reward_of_the_command_line_wins_over_that_of_the_data():
    assert compose_run(["data=lists"]).reward.custom_reward_function.name == "compute_choice_score"
    assert compose_run(["data=lists", "reward=mine.py:f"]).reward.custom_reward_function.name == "f"
