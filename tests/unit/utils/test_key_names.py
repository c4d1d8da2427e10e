"""Keys by their last parts, as a person writes them."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.known_keys import known_keys
from gapo_lab.errors import UserError
from gapo_lab.utils.key_names import ending_with, nearest, short

composer = cache(Composer)
PARTS = st.lists(
    st.sampled_from(["actor_rollout_ref", "actor", "critic", "optim", "lr", "n", "data"]), min_size=1, max_size=4
).map(".".join)


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("lr", "actor_rollout_ref.actor.optim.lr"),
        ("actor.optim.lr", "actor_rollout_ref.actor.optim.lr"),
        ("actor.lr", "actor_rollout_ref.actor.optim.lr"),
        ("critic.lr", "critic.optim.lr"),
        ("rollout.n", "actor_rollout_ref.rollout.n"),
        ("rollut.n", "actor_rollout_ref.rollout.n"),
        ("n", "actor_rollout_ref.rollout.n"),
        ("steps", "trainer.total_training_steps"),
        ("train_batch_size", "data.train_batch_size"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_ends_alike(word, means):
    with pytest.raises(UserError, match=rf"^{word}: no such key \(did you mean {means}\?\)"):
        composer().compose([f"{word}=1"])


def test_every_key_has_a_short_name_of_its_own():
    keys = known_keys()
    assert len({short(key, keys) for key in keys}) == len(keys) > 900
    assert short("actor_rollout_ref.actor.optim.lr", keys) == "lr"
    assert short("critic.optim.lr", keys) == "critic.optim.lr"
    assert short("actor_rollout_ref.rollout.n", keys) == "n"


@given(st.sets(PARTS, min_size=1))
def test_a_short_name_means_its_key_and_no_other(keys):
    for key in keys:
        assert key.endswith(short(key, keys)) and ending_with(short(key, keys), keys)[0] == key
        assert nearest(key, keys)[0] == key


def test_a_key_with_more_pieces_is_nearer_than_one_that_is_spelled_alike():
    keys = {"trainer.total_epochs", "trainer.total_training_steps", "trainer.save_freq"}
    assert nearest("trainer.total_steps", keys) == nearest("total_steps", keys) == ["trainer.total_training_steps"]
    assert nearest("trainer.total_epoch", keys) == ["trainer.total_epochs"]
