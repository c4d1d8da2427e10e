"""The paper's nine models: every configuration composes, and verl's own schema takes it."""

from __future__ import annotations

import os
from functools import cache

os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("VERL_USE_EXTERNAL_MODULES", "gapo_lab.training.verl_plugin")

import pytest
from omegaconf import DictConfig, OmegaConf

from gapo_lab import method_registry
from gapo_lab.config.compose import compose_run
from gapo_lab.config.fast_compose import Composer
from gapo_lab.errors import UserError
from gapo_lab.paths import CONF, NANO
from gapo_lab.planning.spec import make_spec
from gapo_lab.planning.validation import check
from gapo_lab.utils.dotted import unflatten

CHECKPOINT = NANO / "checkpoint"
# Hugging Face id; attention heads, key-value heads (the models' config.json)
NINE = {
    "mistral_7b": ("mistralai/Mistral-7B-Instruct-v0.3", 32, 8),
    "qwen2_5_3b": ("Qwen/Qwen2.5-3B-Instruct", 16, 2),
    "qwen2_5_7b": ("Qwen/Qwen2.5-7B-Instruct", 28, 4),
    "qwen3_4b": ("Qwen/Qwen3-4B", 32, 8),
    "qwen3_8b": ("Qwen/Qwen3-8B", 32, 8),
    "qwen_coder_3b": ("Qwen/Qwen2.5-Coder-3B-Instruct", 16, 2),
    "qwen_coder_7b": ("Qwen/Qwen2.5-Coder-7B-Instruct", 28, 4),
    "qwen_coder_14b": ("Qwen/Qwen2.5-Coder-14B-Instruct", 40, 8),
    "deepseek_coder_6_7b": ("deepseek-ai/deepseek-coder-6.7b-instruct", 32, 32),
}
# Composing a model takes half a second: the fast tests look at one.
EACH = [model if model == "qwen_coder_7b" else pytest.param(model, marks=pytest.mark.slow) for model in NINE]
ATTENTIONS = ("flash_attention_2", "sdpa")
ALGOS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
# Every model with a method of either family, every method with some model.
PAIRS = sorted(
    {(model, algo) for model in NINE for algo in ("gapo_grpo", "gapo_dapo")}
    | {(list(NINE)[i % len(NINE)], algo) for i, algo in enumerate(ALGOS)}
)


@cache
def composed(model: str, attention: str = "flash_attention_2") -> DictConfig:
    return compose_run([f"model={model}", "seed=7", f"backend.attention={attention}"])


composer = cache(Composer)


@cache
def resolved(model: str, algo: str, attention: str = "flash_attention_2") -> DictConfig:
    """As a sweep composes a cell: the same as Hydra does (tests/unit/config), in a fifth of its time."""
    words = [f"model={model}", f"algo={algo}", "seed=7", f"backend.attention={attention}"]
    return OmegaConf.create(unflatten(composer().compose(words).resolved))


def renamed(ref: DictConfig) -> DictConfig:
    """The reference's node under an actor's names, as `ActorRolloutRefWorker` rewrites it."""
    names = {
        "log_prob_micro_batch_size": "ppo_micro_batch_size",
        "log_prob_micro_batch_size_per_gpu": "ppo_micro_batch_size_per_gpu",
        "log_prob_use_dynamic_bsz": "use_dynamic_bsz",
        "log_prob_max_token_len_per_gpu": "ppo_max_token_len_per_gpu",
    }
    return OmegaConf.create({names.get(key, key): value for key, value in ref.items()})


@pytest.mark.verl
@pytest.mark.parametrize(("model", "algo"), PAIRS)
def test_verl_takes_the_configuration(model, algo):
    # both families of methods are in PAIRS, and either attention with either of them
    attention = ATTENTIONS[(PAIRS.index((model, algo)) + list(NINE).index(model)) % 2]
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = resolved(model, algo, attention)
    role = config.actor_rollout_ref
    validate_config(config, need_reference_policy(config), need_critic(config))
    actor, ref = omega_conf_to_dataclass(role.actor), omega_conf_to_dataclass(renamed(role.ref))
    rollout = omega_conf_to_dataclass(role.rollout)
    omega_conf_to_dataclass(config.reward.reward_model)
    omega_conf_to_dataclass(role.rollout.checkpoint_engine)
    # as the workers read them
    assert actor.engine.strategy == ref.engine.strategy == "fsdp2"
    cut = 4 if attention == "flash_attention_2" else 1
    assert actor.engine.ulysses_sequence_parallel_size == ref.engine.ulysses_sequence_parallel_size == cut
    assert role.model.override_config.attn_implementation == attention
    assert actor.engine.param_offload and actor.engine.optimizer_offload and ref.engine.param_offload
    assert actor.use_dynamic_bsz and rollout.log_prob_use_dynamic_bsz and ref.use_dynamic_bsz
    assert (rollout.n, rollout.prompt_length, rollout.response_length) == (8, 4096, 1024)
    # not the model's own context of 32k
    assert rollout.max_model_len == 5120


@pytest.mark.verl
@pytest.mark.parametrize("algo", ALGOS)
def test_verl_makes_the_reward_manager(algo):
    # read as it is, not through verl's dataclass of it, which cannot be made (0.9.1)
    from transformers import AutoTokenizer
    from verl.trainer.ppo.reward import load_reward_manager

    config = resolved("qwen_coder_7b", algo)
    manager = load_reward_manager(config, AutoTokenizer.from_pretrained(CHECKPOINT))
    assert manager.compute_score("id", "x = 1", "x = 1\n")["score"] == 1.0


@pytest.mark.verl
@pytest.mark.parametrize("algo", ALGOS)
def test_algorithm_is_verls_but_for_the_nodes_of_our_methods(algo):
    from verl.trainer.config import AlgoConfig
    from verl.utils.config import omega_conf_to_dataclass

    node = resolved("qwen_coder_7b", algo).algorithm
    ours = {*method_registry.estimators(), *method_registry.losses()}
    algorithm = omega_conf_to_dataclass(OmegaConf.create({k: v for k, v in node.items() if k not in ours}))
    assert isinstance(algorithm, AlgoConfig)
    assert not algorithm.use_kl_in_reward


@pytest.mark.verl
def test_verl_reads_the_model_node_from_a_folder():
    from verl.utils.config import omega_conf_to_dataclass

    config = compose_run(["model=qwen_coder_7b", f"model.path={CHECKPOINT}"])
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    assert model.use_remove_padding and not model.enable_gradient_checkpointing
    assert model.tokenizer.eos_token == "<|im_end|>"


@pytest.mark.verl
def test_lora_is_one_word_that_verl_and_vllm_understand():
    from peft import LoraConfig
    from verl.utils.config import omega_conf_to_dataclass

    config = compose_run(["model=qwen_coder_7b", f"model.path={CHECKPOINT}", "lora=32"])
    role = OmegaConf.create(OmegaConf.to_container(config, resolve=True)).actor_rollout_ref
    model, rollout = omega_conf_to_dataclass(role.model), omega_conf_to_dataclass(role.rollout)
    assert (model.lora_rank, model.lora_alpha, model.target_modules) == (32, 32, "all-linear")
    assert LoraConfig(r=model.lora_rank, lora_alpha=model.lora_alpha, target_modules=model.target_modules)
    # adapters go to a vLLM that has loaded the model itself (verl: "load_format must be safetensors")
    assert (rollout.load_format, rollout.layered_summon, model.lora["merge"]) == ("safetensors", True, False)
    without = omega_conf_to_dataclass(compose_run(["model=qwen_coder_7b"]).actor_rollout_ref.rollout)
    assert (without.load_format, without.layered_summon) == ("dummy", False)


@pytest.mark.parametrize("model", EACH)
def test_settings_of_appendix_a1(model):
    config = composed(model)
    role = config.actor_rollout_ref
    assert config.model.path == NINE[model][0] == role.model.path
    assert (config.backend.name, config.scale.name, role.rollout.name) == ("vllm", "paper", "vllm")
    assert (config.data.train_batch_size, role.actor.ppo_mini_batch_size, role.rollout.n) == (512, 32, 8)
    assert (config.data.max_prompt_length, config.data.max_response_length) == (4096, 1024)
    assert role.rollout.max_model_len == 5120
    assert (config.trainer.total_epochs, config.trainer.total_training_steps) == (10, None)
    optim = role.actor.optim
    assert (optim.lr, optim.lr_warmup_steps, optim.weight_decay) == (1e-6, 10, 0.1)
    assert (role.rollout.temperature, role.rollout.top_p, role.rollout.top_k) == (1.0, 1.0, -1)
    val = role.rollout.val_kwargs
    assert (val.do_sample, val.temperature, val.top_p, val.top_k, val.n) == (True, 1.0, 1.0, -1, 1)
    assert (config.trainer.test_freq, config.trainer.val_before_train) == (1, True)


@pytest.mark.parametrize("model", EACH)
def test_one_seed_reaches_every_generator(model):
    config = composed(model)
    role = config.actor_rollout_ref
    seeds = (config.data.seed, role.rollout.seed, role.actor.data_loader_seed, role.actor.fsdp_config.seed)
    assert seeds == (7, 7, 7, 7)


@pytest.mark.parametrize("model", EACH)
def test_the_gpus_divide(model):
    config = composed(model)
    _, heads, kv_heads = NINE[model]
    role, gpus = config.actor_rollout_ref, config.trainer.n_gpus_per_node
    tensor, ulysses = role.rollout.tensor_model_parallel_size, role.actor.ulysses_sequence_parallel_size
    assert gpus == config.model.gpus and gpus % tensor == 0 and gpus % ulysses == 0
    assert heads % tensor == 0 and heads % ulysses == 0
    assert kv_heads % tensor == 0 or tensor % kv_heads == 0
    assert role.actor.ppo_mini_batch_size * role.rollout.n % (gpus // ulysses) == 0
    # one sequence must fit into a pass
    assert role.actor.ppo_max_token_len_per_gpu * ulysses >= 4096 + 1024


@pytest.mark.parametrize("model", EACH)
def test_a_machine_without_a_gpu_is_told_so(model, monkeypatch):
    monkeypatch.setattr("gapo_lab.planning.validation.has_gpu", lambda: False)
    with pytest.raises(UserError, match=f"model={model}.*GPU") as caught:
        check(composed(model))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["qwen3_4b", "qwen3_8b"])
def test_qwen3_does_not_think(model):
    assert composed(model).data.apply_chat_template_kwargs == {"enable_thinking": False}


@pytest.mark.slow
def test_only_mistral_has_no_system_role():
    assert [model for model in NINE if not composed(model).model.system_role] == ["mistral_7b"]


@pytest.mark.slow
def test_the_models_are_different_runs():
    assert len({make_spec(composed(model)).key for model in NINE}) == len(NINE)


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_that_is_to_be_repeatable_asks_vllm_for_batch_invariant_kernels(asked, tmp_path):
    from types import SimpleNamespace

    from gapo_lab.training.train import environment

    config = compose_run(["model=qwen_coder_7b", f"actor_rollout_ref.actor.fsdp_config.full_determinism={asked}"])
    variables = environment(config, SimpleNamespace(path=tmp_path), tmp_path)
    assert ("VLLM_BATCH_INVARIANT" in variables) == asked


@pytest.mark.parametrize(
    ("attention", "said"),
    [
        ("sdpa", "attention is sdpa, sequences are not cut over GPUs (ulysses 1)\n"),
        ("flash_attention_2", "attention is flash_attention_2, sequences are cut over 4 GPUs (ulysses 4)\n"),
    ],
)
def test_a_run_says_its_attention_in_its_log(attention, said, capsys):
    from gapo_lab.training.train import say_attention

    say_attention(composed("qwen_coder_7b", attention=attention))
    assert capsys.readouterr().out == said


def test_a_run_with_one_kind_of_attention_only_says_nothing(capsys):
    from gapo_lab.training.train import say_attention

    say_attention(compose_run([]))
    assert capsys.readouterr().out == ""
