"""No key of verl's is accepted and not obeyed; verl's source says which it reads."""

from __future__ import annotations

from functools import cache

import pytest
from verl_source import read_in

from gapo_lab.config.fast_compose import Composer
from gapo_lab.config.known_keys import verl_defaults
from gapo_lab.config.view import ConfigView
from gapo_lab.paths import CONF
from gapo_lab.planning import plan
from gapo_lab.planning.ignored_keys import COUNTED, KEYS, NODES, TWINS, ignored, problems
from gapo_lab.planning.validation import faults

# Keys of KEYS whose last part is also the name of something that is read -> of what.
OF_ANOTHER_NODE = {
    "reward_model.num_workers": "reward.num_workers",
    "reward_model.reward_manager": "reward.reward_manager",
    "reward_model.reward_loop_source": "moved by reward_loop.py, which verl's main entry does not call",
    "reward_model.reward_loop_module_path": "moved by reward_loop.py, which verl's main entry does not call",
    "reward_model.reward_loop_class_name": "moved by reward_loop.py, which verl's main entry does not call",
    "reward_model.enable": "reward.reward_model.enable",
    "reward_model.enable_resource_pool": "reward.reward_model.enable_resource_pool",
    "actor_rollout_ref.actor.rollout_n": "a variable of the agent loop",
    "actor_rollout_ref.ref.rollout_n": "a variable of the agent loop",
    **{f"actor_rollout_ref.{role}.fsdp_config.strategy": "replaced by that of the role" for role in ("actor", "ref")},
    "actor_rollout_ref.actor.use_fused_kernels": "the model's",
    "actor_rollout_ref.actor.use_remove_padding": "the model's",
    "actor_rollout_ref.rollout.mode": "other modes",
    "actor_rollout_ref.rollout.nnodes": "trainer.nnodes, and of a reward model",
    "actor_rollout_ref.rollout.n_gpus_per_node": "trainer.n_gpus_per_node, and of a reward model",
    "data.tokenizer": "the object",
    "data.trust_remote_code": "actor_rollout_ref.model.trust_remote_code",
    "data.reward_fn_key": "reward managers of the older trainer",
    "algorithm.lam": "handed to every estimator, read by GAE",
    "algorithm.filter_groups.max_num_gen_batches": "a warning that it is ignored",
}
# Obeyed by verl, and refused because the run decides it or takes it from another key.
DECIDED = (
    *("actor_rollout_ref.rollout.prompt_length", "actor_rollout_ref.rollout.response_length"),
    *("actor_rollout_ref.rollout.full_determinism", "actor_rollout_ref.model.tokenizer_path"),
    *("actor_rollout_ref.model.hf_config_path", "actor_rollout_ref.model.custom_chat_template"),
    *("trainer.project_name", "trainer.experiment_name", "trainer.default_hdfs_dir", "trainer.max_critic_ckpt_to_keep"),
)
# Beginnings of keys that no name in verl's own code shows, though they are obeyed -> by what.
READ_ELSEWHERE = {
    "actor_rollout_ref.actor.optim.": "build_optimizer in workers/config/optimizer.py",
    "actor_rollout_ref.model.external_lib": "HFModelConfig in workers/config/model.py",
    "actor_rollout_ref.model.tiled_mlp.": "HFModelConfig in workers/config/model.py",
    "actor_rollout_ref.rollout.val_kwargs.do_sample": "gapo_lab/planning/user_settings.py, which refuses false",
    "data.max_response_length": "actor_rollout_ref.rollout.response_length refers to it",
    "transfer_queue.": "handed to the TransferQueue package as a whole",
    "global_profiler.global_tool_config.": "handed to the profiler as a whole",
    "ray_kwargs.ray_init.": "handed to ray.init as a whole",
    "trainer.use_v1": "verl's own entry; refused where it is not true",
}
composer = cache(Composer)


def found(*words: str) -> list[str]:
    composed = composer().compose(words)
    return list(problems(composed.written, composed.resolved))


@pytest.mark.slow  # reads all of verl's source
def test_what_is_refused_as_unread_is_read_nowhere_on_the_way_of_a_run():
    """Fails when a new verl begins to read a key: take it out of KEYS."""
    stated = {*OF_ANOTHER_NODE, *DECIDED}
    of_the_schema = [key for key in KEYS if key in verl_defaults() and key not in stated]
    assert {key: files for key in of_the_schema if (files := read_in(key.rpartition(".")[2]))} == {}
    assert stated <= KEYS.keys()


@pytest.mark.slow  # reads all of verl's source
def test_every_key_that_verl_never_reads_is_refused():
    """Fails when a new verl brings a key that it does not read, or stops reading one: put it into KEYS or NODES."""
    unread = [key for key in verl_defaults() if not key.endswith("_target_") and not read_in(key.rpartition(".")[2])]
    assert len(unread) > 100
    assert [key for key in unread if not ignored(key) and not key.startswith(tuple(READ_ELSEWHERE))] == []
    assert all(any(key.startswith(start) for key in unread) for start in READ_ELSEWHERE)


@pytest.mark.parametrize("key", [key for key in KEYS if key in verl_defaults()])
def test_a_key_that_is_not_obeyed_is_refused_with_the_reason(key):
    value = composer().compose(()).resolved[key]
    value = str(not value).lower() if isinstance(value, bool) else 7
    (line,) = found(f"{key}={value}")
    assert line.endswith(f": {KEYS[key]}") and line.startswith(f"{key}=")


@pytest.mark.parametrize("start", NODES)
def test_a_node_that_is_not_obeyed_has_keys_and_they_are_refused(start):
    key = next(k for k, v in verl_defaults().items() if k.startswith(start) and k not in KEYS and "_target_" not in k)
    assert found(f"{key}=123") == [f"{key}=123: {ignored(key)}"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("custom_reward_function.path=/nofile.py", "verl 0.9 reads reward.custom_reward_function.path"),
        ("sandbox_fusion.url=x", "verl 0.9 reads reward.sandbox_fusion.url"),
        ("reward_model.reward_manager=dapo", "verl 0.9 reads reward.reward_manager.name"),
        ("reward_model.num_workers=4", "verl 0.9 reads reward.num_workers"),
        ("reward_model.reward_loop_source=importlib", "verl 0.9 reads reward.reward_manager.source"),
        ("reward_model.reward_loop_module_path=m.py", "verl 0.9 reads reward.reward_manager.module.path"),
        ("reward_model.reward_loop_class_name=Mine", "verl 0.9 reads reward.reward_manager.module.name"),
        ("reward_model.model.path=/model", "no reward model is run here. Give reward.custom_reward_function.path"),
        ("reward_model.rollout.name=vllm", "no reward model is run here. Give reward.custom_reward_function.path"),
        (
            "+reward_model.reward_kwargs.overlong_buffer_cfg.len=7",
            "verl 0.9 reads reward.reward_kwargs.overlong_buffer_cfg.len",
        ),
        ("+reward_model.overlong_buffer.len=7", "verl 0.9 reads reward.reward_kwargs.overlong_buffer_cfg.len"),
        ("+custom_reward_function.overlong_buffer.len=7", "reads reward.reward_kwargs.overlong_buffer_cfg.len"),
        ("+custom_reward_function.reward_kwargs.a=7", "verl 0.9 reads reward.custom_reward_function.reward_kwargs.a"),
        ("+actor_rollout_ref.actor.use_token_level_loss=true", "reads actor_rollout_ref.actor.loss_agg_mode"),
        ("actor_rollout_ref.actor.grad_clip=2", "verl 0.9 reads actor_rollout_ref.actor.optim.clip_grad"),
        ("backend=vllm actor_rollout_ref.actor.use_torch_compile=false", "fsdp_config.use_torch_compile=True"),
        ("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8", "ppo_max_token_len_per_gpu"),
        ("actor_rollout_ref.actor.clip_ratio=0.3", "Give clip_ratio_low and clip_ratio_high"),
    ],
)
def test_the_word_that_is_obeyed_is_named(words, says):
    (line,) = found(*words.split())
    assert says in line


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("custom_reward_function.overlong_buffer.len=5", "reward.reward_kwargs.overlong_buffer_cfg.len"),
        ("reward_model.overlong_buffer.len=5", "reward.reward_kwargs.overlong_buffer_cfg.len"),
        ("actor_rollout_ref.actor.use_token_level_loss=True", "actor_rollout_ref.actor.loss_agg_mode"),
        ("+actor_rollout_ref.actor.use_token_level_loss=True", "actor_rollout_ref.actor.loss_agg_mode"),
    ],
)
def test_an_older_word_that_the_schema_does_not_have_is_told_by_its_new_name(word, says):
    (run,) = plan.draft([(word, "seed=0")], composer())
    (line,) = run.why.splitlines()
    assert line.endswith(f": verl 0.9 reads {says}")


def named(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.slow  # 84 compositions
@pytest.mark.parametrize("recipe", ["paper", "verl"])
def test_nothing_that_ships_sets_such_a_key(recipe):
    cells = [(model, algo) for model in named("model") for algo in ("grpo", "gapo_dapo")]
    cells += [("qwen_coder_7b", algo) for algo in named("algo")]
    assert [cell for cell in cells if found(f"model={cell[0]}", f"algo={cell[1]}", f"recipe={recipe}")] == []


def test_keys_that_refer_to_another_follow_it_without_a_word():
    assert found("actor_rollout_ref.rollout.n=4", "data.max_response_length=20", "algorithm.gamma=0.9") == []
    assert {*TWINS, *COUNTED} <= verl_defaults().keys()


def test_all_faults_of_a_command_are_told_at_once():
    composed = composer().compose(
        ["tau=2", "trainer.balance_batch=false", "data.train_batch_size=33", "model.path=./nothing", "seed=-1"]
    )
    told = faults(ConfigView(composed.resolved), composed.written)
    assert [line.partition("=")[0] for line in told] == [
        *("trainer.balance_batch", "tau", "seed", "data.train_batch_size", "model.path")
    ]
