"""scale=smoke: the real run but for the steps, the prompts a step and the rows of a validation."""

from __future__ import annotations

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.sweep_grid import make_cells
from gapo_lab.planning.cost import CostInputs
from gapo_lab.planning.plan import draft, make

BIG = ("model=qwen_coder_7b", "cluster=slurm")
# What may differ from the real run. The rest decides memory, speed and which code is reached.
SMALLER = {
    "data.train_batch_size",
    "trainer.v1.sampler.sampler_kwargs.train_batch_size",
    "trainer.total_training_steps",
    "trainer.test_freq",
    "trainer.save_freq",
    "data.id_size",
    "data.ood_size",
    "data.dev_size",
    # nobody evaluates it
    "keep",
    "actor_rollout_ref.actor.optim.lr_warmup_steps",
}


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.mark.parametrize("algo", ["gapo_grpo", "gapo_dapo"])
def test_only_the_batch_the_steps_and_the_validation_are_smaller(composer, algo):
    real = composer.compose([*BIG, f"algo={algo}"]).resolved
    smoke = composer.compose([*BIG, f"algo={algo}", "scale=smoke"]).resolved
    differ = {key for key in real.keys() | smoke.keys() if real.get(key) != smoke.get(key)}
    assert {key for key in differ if not key.startswith("scale.")} == SMALLER


def test_a_validation_has_32_rows_whatever_the_data(composer):
    for words in ((), ("data=git",)):
        assert CostInputs.of(composer.compose([*BIG, "scale=smoke", *words]).resolved).test_tasks == 32, words
    lists = composer.compose(["scale=smoke", "data=lists", "algo=group_aware"]).resolved
    sizes = [lists[f"data.{name}"] for name in ("id_size", "ood_size", "dev_size")]
    assert sizes == [8, 4, 8] and lists["data.samples"] == 2
    assert composer.compose(["scale=smoke", "data.id_size=5"]).resolved["data.id_size"] == 5


@pytest.mark.parametrize(("sweep", "models"), [("table2", 9), ("table4", 5), ("table5", 3), ("tau", 1)])
def test_a_sweep_has_one_smoke_run_a_model_in_a_study_of_its_own(composer, sweep, models):
    conf = compose_run([f"+sweep={sweep}"], hydra=True).hydra.sweeper
    cells = make_cells(
        [f"+sweep={sweep}", "scale=smoke", "cluster=slurm", "data=micro"], conf.params, conf.instead, conf.also
    )
    runs = make(draft(cells, composer)).runs
    assert len({run.spec.model for run in runs}) == len(runs) == models
    assert {run.spec.study for run in runs} == {f"{sweep}_smoke"}
    assert all(run.name.endswith("scale=smoke") for run in runs)
