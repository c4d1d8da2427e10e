"""What is refused before anything starts, and the line it gets."""

from __future__ import annotations

import pytest

from gapo_lab import checks
from gapo_lab.checks import check
from gapo_lab.compose import compose_run
from gapo_lab.errors import UserError


def test_the_default_run_passes():
    check(compose_run([]))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tau=0"], "tau=0: must be a number in (0, 1]"),
        (["tau=1.5"], "tau=1.5"),
        (["tau=abc"], "tau=abc"),
        (["tau=null"], "tau=None"),
        (["tau=0", "algo=grpo"], "tau=0"),
        (["algorithm.gapo.center=mode"], "algorithm.gapo.center=mode: must be one of median, mean"),
        (["algorithm.gapo.scale=iqr"], "must be one of div, std"),
        (["algorithm.gapo.ddof=2"], "must be one of 0, 1"),
        (["+algorithm.gapo.tauu=1"], "algorithm.gapo.tauu: no such setting"),
        (["seed=-1"], "seed=-1"),
        (["seed=abc"], "seed=abc"),
        (["data.train_batch_size=33"], "does not divide into mini-batches"),
        (["data.train_batch_size=0"], "must be a whole number above 0"),
        (
            ["actor_rollout_ref.actor.ppo_mini_batch_size=1", "actor_rollout_ref.rollout.n=3"],
            "over 2 workers",
        ),
        (["actor_rollout_ref.rollout.n=0"], "actor_rollout_ref.rollout.n=0"),
        (["model=qwen_coder_7b", "backend=cpu"], "cannot be trained without a GPU"),
        (["model.path=./nothing_here"], "no model there"),
        (["data.template=nowhere.txt"], "data.template=nowhere.txt: no such file"),
        (["data=git", "data.repos=[nowhere]"], "data.repos: nowhere is not a folder"),
        (["data.train_size=8"], "less than one batch"),
        (["trainer.total_training_steps=0"], "trainer.total_training_steps=0"),
    ],
)
def test_refused_with_one_line(words, says):
    with pytest.raises(UserError) as caught:
        check(compose_run(words))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_for_gpus_says_so_where_there_is_none(monkeypatch):
    monkeypatch.setattr(checks, "has_gpu", lambda: False)
    with pytest.raises(UserError, match="needs 8 GPUs and this machine has none"):
        check(compose_run(["model=qwen_coder_7b"]))
