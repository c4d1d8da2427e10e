"""A key that is added below a node of verl's, and that verl reads nowhere, is refused."""

import pytest

from gapo_lab.planning import plan
from gapo_lab.planning.added_keys import problems


@pytest.mark.parametrize(
    "words",
    [
        ["+actor_rollout_ref.model.override_config.attention_dropout=0"],  # whatever a model's config has
        ["+note=1"],  # ours
        ["+trainer.rollout_freq=1", "data.custom_cls.path=x.py"],  # the class may read it
        ["+actor_rollout_ref.rollout.limit_images=1"],  # verl reads it where it is there
        ["trainer.total_epochs=1"],
    ],
)
def test_keys_that_somebody_may_read(words):
    assert list(problems(words)) == []


def test_a_key_that_nobody_reads_is_told_with_the_other_faults():
    (run,) = plan.draft([["+actor_rollout_ref.actor.grad_norm_clipp=1", "data.train_files=/x", "seed=0"]])
    assert run.why.splitlines()[0].startswith(
        "+actor_rollout_ref.actor.grad_norm_clipp: verl reads no such key (did you"
    )
    assert run.why.splitlines()[1].startswith("data.train_files=/x: ")
