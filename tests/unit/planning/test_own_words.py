"""What would be seen only after a queue and the loading of a model is seen by the plan."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from gapo_lab.config import search_path
from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.view import ConfigView
from gapo_lab.paths import NANO
from gapo_lab.planning import own_words
from gapo_lab.planning.reward_rules import RETURNS
from gapo_lab.planning.validation import faults
from gapo_lab.training import reward_function

composer = cache(Composer)
REWARD = "reward.custom_reward_function"
VLLM = ("backend=vllm", "cluster=slurm")


def told(*words: str) -> list[str]:
    composed = composer().compose(words)
    return faults(ConfigView(composed.resolved), composed.written)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("actor_rollout_ref.model.path=/x", "Give model.path=/x"),
        (f"{REWARD}.path=/nofile.py", "reward=/nofile.py: no such file"),
        ("trainer.v1.sampler.custom_sampler.path=/nofile.py", "custom_sampler.path=/nofile.py: no such file"),
        ("algo=dapo algorithm.filter_groups.metric=acc", "there are em, similarity, score"),
        ("trainer.max_actor_ckpt_to_keep=0", "keeps no checkpoint"),
        ("actor_rollout_ref.actor.checkpoint.save_contents=[model]", "could not go on without optimizer, extra"),
        ("data.prompt_key=question", "data=micro has the column prompt"),
        ("actor_rollout_ref.rollout.val_kwargs.do_sample=false", "verl 0.9 always samples"),
        ("trainer.device=npu", "backend=cpu has cpu"),
        ("trainer.device=cuda", "backend=cpu has cpu"),
        ("actor_rollout_ref.rollout.name=vllm", "backend=cpu has gapo_cpu"),
        ("actor_rollout_ref.rollout.agent.default_agent_loop=tool_agent", "backend=cpu, which has no agent loops"),
        ("actor_rollout_ref.model.lora_rank=32", "the override is lora=32"),
        ("actor_rollout_ref.model.lora_adapter_path=mine", "peft's merge_and_unload"),
        ("actor_rollout_ref.model.lora_alpha=64", "read with LoRA only. Give lora=RANK, too"),
        ("lora=8 actor_rollout_ref.model.lora.merge=true", "always answers with the merged weights"),
        ("actor_rollout_ref.model.lora.rank=8", "lora=RANK"),
        ("actor_rollout_ref.model.external_lib=nowhere", "no module nowhere"),
        (
            "actor_rollout_ref.model.external_lib=null",
            "Write actor_rollout_ref.model.external_lib=[gapo_lab.training.cpu",
        ),
        ("actor_rollout_ref.model.external_lib=gapo_lab.errors", "cpu.gloo_group,gapo_lab.errors]"),
        ("reward.reward_manager.name=prime", "no such reward manager; there are naive, dapo, gdpo"),
        ("data.seed=7", "a run has one seed, which is seed=0"),
        ("seed=7 actor_rollout_ref.rollout.seed=0", "a run has one seed, which is seed=7"),
        ("~actor_rollout_ref.rollout.seed", "rollout.seed=None: a run has one seed"),
        ("data.name=seven", "data.name=seven: no such data"),
        ("algo=grpo algorithm.adv_estimator=grpo", "Give algo=grpo instead"),
        ("algorithm.adv_estimator=grpo", "Give algo=grpo instead"),
        ("algorithm.adv_estimator=rloo", "Give algo=rloo instead"),
    ],
)
def test_one_line_says_what_to_give(words, says):
    (line,) = told(*words.split())
    assert says in line and line.startswith(("actor_rollout_ref", "reward", "algorithm", "trainer", "data"))


def test_the_reward_managers_are_those_of_verl():
    folder = search_path.verl_config_folder().parents[1] / "experimental" / "reward_loop" / "reward_manager"
    text = "".join(path.read_text() for path in sorted(folder.glob("*.py")))
    assert set(re.findall(r'^@register(?:_manager)?\("(\w+)"\)', text, re.MULTILINE)) == set(own_words.MANAGERS)
    assert not told("noise=0.1") and not told("reward.reward_manager.name=dapo")


def test_a_class_that_the_file_does_not_have(tmp_path):
    (tmp_path / "r.py").write_text("from math import sqrt as root\n\n\nclass Mine: ...\n")
    path, name = (f"trainer.v1.sampler.custom_sampler.{part}" for part in ("path", "name"))
    word = f"{path}={tmp_path / 'r.py'}"
    assert told(word) == [f"{name}=BoundedReplayBuffer: r.py has no BoundedReplayBuffer; it has Mine, root"]
    assert told(word, f"{name}=Mine") == []


def test_the_metrics_are_those_that_the_rewards_give():
    given = reward_function.compute_score("id", "x = 1", "x = 2")
    assert set(RETURNS["compute_score"]) <= set(given)
    assert set(RETURNS["compute_choice_score"]) <= set(reward_function.compute_choice_score("id", "a", '["a", "b"]'))
    others = {name for name in vars(reward_function) if name.startswith("compute_")}
    assert others == set(RETURNS)


def test_modes_of_verl_that_gpus_may_use():
    lora = ("lora=32", "actor_rollout_ref.model.lora_alpha=64", "actor_rollout_ref.model.lora.merge=true")
    assert told(*VLLM, *lora) == []
    for word, says in (
        ("actor_rollout_ref.rollout.name=sglang", "rollouts are made with vLLM"),
        ("actor_rollout_ref.actor.strategy=fsdp", "models are trained with FSDP2"),
        ("trainer.v1.trainer_mode=separate_async", "synchronous"),
        ("trainer.v1.trainer_mode=colocate_async", "synchronous"),
    ):
        (line,) = told(*VLLM, word)
        assert says in line


def test_fused_kernels_need_a_tied_output_layer(tmp_path: Path):
    word = "actor_rollout_ref.model.use_fused_kernels=true"
    slurm = ("cluster=slurm", word)
    assert told(*slurm, "model=qwen3_4b") == [] == told(*VLLM, word)
    (line,) = told(*slurm, "model=qwen3_8b")
    assert "that of Qwen/Qwen3-8B is its own. Set it to false" in line
    shutil.copytree(NANO / "checkpoint", tmp_path, dirs_exist_ok=True)
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(said | {"tie_word_embeddings": False}))
    assert len(told(f"model.path={tmp_path}")) == 1
    assert told(f"model.path={tmp_path}", "actor_rollout_ref.model.use_fused_kernels=false") == []
