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
from gapo_lab.planning import user_settings
from gapo_lab.planning.reward_rules import RETURNS
from gapo_lab.planning.validation import faults
from gapo_lab.training import reward_function

composer = cache(Composer)
REWARD = "reward.custom_reward_function"
VLLM = ("backend=vllm", "cluster=slurm")


def told(*words: str) -> list[str]:
    composed = composer().compose(words)
    return faults(ConfigView(composed.resolved), composed.written)


def told_of_keys(*words: str) -> list[str]:
    """The same without a line on vLLM, which need not be installed."""
    return [line for line in told(*words) if not line.startswith("backend=")]


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
        ("algo=grpo algorithm.adv_estimator=grpo", "algo=grpo brings its estimator. Leave algorithm.adv_estimator out"),
        ("algo=dapo algorithm.adv_estimator=grpo", "algo=dapo brings its estimator. Leave algorithm.adv_estimator out"),
        ("algo=gspo algorithm.adv_estimator=grpo", "algo=gspo brings its estimator. Leave algorithm.adv_estimator out"),
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
    assert set(re.findall(r'^@register(?:_manager)?\("(\w+)"\)', text, re.MULTILINE)) == set(user_settings.MANAGERS)
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
    # quantization is verl's and vLLM's own; nobody has run it here
    for word in ("actor_rollout_ref.rollout.quantization=fp8", "actor_rollout_ref.actor.fsdp_config.qat.enable=true"):
        assert told(*VLLM, word) == []
    for word, says in (
        ("actor_rollout_ref.rollout.name=sglang", "rollouts are made with vLLM"),
        ("actor_rollout_ref.rollout.name=trtllm", "rollouts are made with vLLM"),
        ("actor_rollout_ref.rollout.name=hf", "rollouts are made with vLLM"),
        ("actor_rollout_ref.actor.strategy=fsdp", "models are trained with FSDP2"),
        ("actor_rollout_ref.actor.strategy=megatron", "models are trained with FSDP2"),
        ("trainer.device=npu", "a run is made on CUDA GPUs"),
        ("trainer.use_v1=false", "verl's v1 trainer"),
        ("actor_rollout_ref.ref.strategy=megatron", "models are trained with FSDP2"),
        ("trainer.v1.trainer_mode=separate_async", "synchronous"),
        ("trainer.v1.trainer_mode=colocate_async", "synchronous"),
    ):
        (line,) = told(*VLLM, word)
        assert says in line


def test_lora_is_refused_where_nobody_has_tried_it():
    (line,) = told_of_keys("backend=vllm_cpu", "lora=32")
    assert line.startswith("lora=32: was not tried with vLLM on a CPU. Take backend=cpu")


AGENT = "actor_rollout_ref.rollout.agent"
TOOLS = "actor_rollout_ref.rollout.multi_turn"
SAMPLED = "- name: single_turn_agent\n  _target_: verl.experimental.agent_loop.tool_agent_loop.ToolAgentLoop\n"
GREEDY = "- name: single_turn_greedy\n  _target_: gapo_lab.training.greedy_agent.GreedyAgentLoop\n"


@pytest.mark.parametrize("backend", [VLLM, ("backend=vllm_cpu",)])
@pytest.mark.parametrize(
    ("word", "says"),
    [
        (f"{AGENT}.default_agent_loop=tool_agent", "never read, because each row names single_turn_agent"),
        (f"{AGENT}.agent_loop_config_path=null", "has no loop called single_turn_greedy"),
        (f"{TOOLS}.tool_config_path=tools.yaml", "our agent loop calls no tools"),
        (f"{TOOLS}.enable=true", "our agent loop calls no tools"),
    ],
)
def test_an_agent_loop_that_no_row_names_is_refused(backend, word, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools.yaml").write_text("tools: []\n")
    (line,) = told_of_keys(*backend, word)
    assert says in line and line.startswith(word.partition("=")[0])


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        (SAMPLED + GREEDY, (), None),
        (SAMPLED + GREEDY, (f"{TOOLS}.enable=true",), None),
        (SAMPLED, ("data.greedy=false",), None),
        (SAMPLED, (), "has no loop called single_turn_greedy, which greedy rows name. Add one"),
        (SAMPLED.replace("single_turn", "tool") + GREEDY, (), "has no loop called single_turn_agent"),
        ("loops: 2\n", ("data.greedy=false",), "has no loop called single_turn_agent"),
    ],
)
def test_a_file_of_agent_loops_has_those_that_the_rows_name(text, words, says, tmp_path):
    (tmp_path / "loops.yaml").write_text(text)
    found = told(*VLLM, f"{AGENT}.agent_loop_config_path={tmp_path / 'loops.yaml'}", *words)
    assert [says in line for line in found] == ([True] if says else [])


def test_whoever_makes_the_rows_may_name_other_loops(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    rows = (f"data.custom_cls.path={tmp_path / 'mine.py'}", "data.custom_cls.name=Mine")
    assert told(*VLLM, *rows, f"{AGENT}.default_agent_loop=tool_agent") == []


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
