"""Keys that a run decides itself, that would be ignored, or that are of the wrong kind: one line each."""

from __future__ import annotations

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.errors import UserError
from gapo_lab.planning.validation import check


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("data.train_files=/x.parquet", "data.train_files=/x.parquet: rows of your own are data=parquet"),
        ("trainer.resume_mode=disable", "last checkpoint"),
        ("trainer.default_local_dir=x", "run_root="),
        ("trainer.rollout_data_dir=x", "rollouts_every"),
        ("trainer.use_v1=false", "Leave it at True"),
        ("trainer.v1.trainer_mode=separate_async", "Leave it at sync"),
        ("distillation.enabled=true", "distillation is not made here"),
        ("algo=grpo algorithm.norm_adv_by_std_in_grpo=false", "Take algo=dr_grpo"),
        ("algo=grpo algorithm.adv_estimator=gapo", "Take algo=gapo_grpo"),
        ("actor_rollout_ref.rollout.n=1", "at least 2"),
        ("data.train_size=abc", "must be a whole number"),
        ("data.generator_seed=true", "must be a whole number"),
        ("model.path=3", "must be text"),
        ("data.template=3", "must be text"),
        ("run_root=null", "must be a path"),
        ("data.name=foo", "there are micro"),
        ("actor_rollout_ref.actor.optim.lr=abc", "must be a number"),
    ],
)
def test_one_line_names_the_key_and_the_remedy(words, says):
    with pytest.raises(UserError) as caught:
        check(compose_run(words.split()))
    assert says in str(caught.value) and "\n" not in str(caught.value)
