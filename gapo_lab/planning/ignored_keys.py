"""Keys of verl's schema that are not obeyed here, and the word that is. Pure.

verl 0.9.1 composes some 900 settings. Its v1 trainer never reads a good part of them: the critic's, older spellings,
what only its older trainer knew. A word that is accepted and not obeyed gives a run that is not what its spec says: it
is refused. tests/unit/planning/test_ignored_keys.py finds in verl's source when a new version begins to read one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from gapo_lab.config import moved_keys
from gapo_lab.config.known_keys import verl_defaults

ACTOR, REF, ROLLOUT, MODEL = (f"actor_rollout_ref.{part}" for part in ("actor", "ref", "rollout", "model"))
_NO_REWARD_MODEL = "no reward model is run here. Give reward.custom_reward_function.path=FILE.py"
_ASYNC = "runs are made with verl's synchronous trainer"
_V0 = "read by verl's older trainer only"
_MEGATRON = "read by Megatron only, and runs are made with FSDP2"

# A whole node, or the keys that begin so -> why, and what to give in its place.
NODES = {
    "critic.": "no method here has a critic",
    "reward_model.": _NO_REWARD_MODEL,
    "distillation.": "distillation is not made here",
    "trainer.v1.colocate_async.": _ASYNC,
    "trainer.v1.separate_async.": _ASYNC,
    "algorithm.pf_ppo.": _V0,
    "reward.reward_model.": _NO_REWARD_MODEL,
    "skip.": "a run makes its own rollouts; python -m analysis replay computes methods on recorded ones",
    f"{MODEL}.mtp.": _MEGATRON,
    f"{MODEL}.lora.": f"{_MEGATRON}; lora=RANK and {MODEL}.lora_alpha are read",
    f"{ROLLOUT}.disaggregation.": "prefill and decoding share their GPUs here",
    f"{ROLLOUT}.agent.custom_async_server.": "not read by verl's v1 trainer",
    **{f"{role}.fsdp_config.turbo_config.": "read by verl's NPU engine only" for role in (ACTOR, REF)},
}
# One key -> the same.
KEYS = {
    **{old: f"verl 0.9 reads {new}" for old, new in moved_keys.KEYS.items()},
    **{f"reward_model.{key}": _NO_REWARD_MODEL for key in ("enable", "enable_resource_pool")},
    f"{ACTOR}.grad_clip": f"verl 0.9 reads {ACTOR}.optim.clip_grad",
    f"{ACTOR}.freeze_vision_tower": "the models here have no vision tower",
    f"{ACTOR}.use_prefix_grouper": f"{_V0}; backend=cpu shares the computation of a prompt by itself",
    f"{ACTOR}.ppo_micro_batch_size": f"give tokens: {ACTOR}.ppo_max_token_len_per_gpu",
    **{f"{role}.fsdp_config.strategy": "models are trained with FSDP2" for role in (ACTOR, REF)},
    f"{ACTOR}.rollout_n": f"give {ROLLOUT}.n",
    f"{REF}.rollout_n": f"give {ROLLOUT}.n",
    f"{ACTOR}.use_fused_kernels": f"verl reads {MODEL}.use_fused_kernels",
    f"{ACTOR}.use_remove_padding": f"verl reads {MODEL}.use_remove_padding",
    f"{ROLLOUT}.mode": "rollouts are always asynchronous in verl 0.9",
    f"{ROLLOUT}.do_sample": f"verl 0.9 always samples; greedy is {ROLLOUT}.temperature=0",
    f"{ROLLOUT}.over_sample_rate": "not read by verl's v1 trainer; dynamic sampling is algo=dapo",
    f"{ROLLOUT}.multi_stage_wake_up": "not read by verl 0.9",
    f"{ROLLOUT}.multi_turn.num_repeat_rollouts": f"give {ROLLOUT}.n",
    f"{ROLLOUT}.multi_turn.use_inference_chat_template": "not read by verl's agent loops",
    f"{ROLLOUT}.multi_turn.tokenization_sanity_check_mode": "not read by verl's agent loops",
    f"{ROLLOUT}.agent.agent_loop_manager_class": "read by verl's own entry only",
    f"{ROLLOUT}.prompt_length": "give data.max_prompt_length",
    f"{ROLLOUT}.response_length": "give data.max_response_length",
    f"{ROLLOUT}.nnodes": f"{_ASYNC}, on the GPUs of the actor",
    f"{ROLLOUT}.n_gpus_per_node": f"{_ASYNC}, on the GPUs of the actor",
    f"{ROLLOUT}.full_determinism": f"give {ACTOR}.fsdp_config.full_determinism",
    f"{MODEL}.tokenizer_path": "the tokenizer is that of model.path, which also measures the prompts",
    f"{MODEL}.hf_config_path": "the configuration is that of model.path",
    f"{MODEL}.custom_chat_template": "prompts are measured with the template of model.path. Put yours into a copy of "
    "the model as chat_template.jinja and give model.path=FOLDER",
    "actor_rollout_ref.hybrid_engine": "actor and rollout always share their GPUs here",
    "actor_rollout_ref.nccl_timeout": "verl 0.9 does not read it",
    "data.tokenizer": "the tokenizer is that of model.path",
    "data.trust_remote_code": f"verl's v1 trainer reads {MODEL}.trust_remote_code",
    "data.return_raw_input_ids": "verl 0.9 does not read it",
    "data.reward_fn_key": "the reward gets data_source",
    "algorithm.lam": "is of the critic's estimator (GAE), and no method here has a critic",
    "algorithm.use_pf_ppo": _V0,
    "algorithm.filter_groups.max_num_gen_batches": "give trainer.v1.sampler.sampler_kwargs.max_refill_batches",
    "trainer.balance_batch": "verl's v1 trainer always balances a batch over the GPUs",
    "trainer.esi_redundant_time": _V0,
    "trainer.ray_wait_register_center_timeout": "verl 0.9 does not read it. Give cluster.ray_patience",
    "trainer.max_critic_ckpt_to_keep": "no method here has a critic",
    "trainer.default_hdfs_dir": "checkpoints lie in the run folder; run_root= says where that is",
    "trainer.project_name": "a run belongs to a study. Give study=NAME",
    "trainer.experiment_name": "a run is named by its overrides. Give study=NAME for what belongs together",
    "ray_kwargs.timeline_json_file": "read by verl's own entry only",
}
# Obeyed, though the node above it is not.
OBEYED = (f"{MODEL}.lora.merge",)
# Read at one place, written at two: the first is not read where it says something else than the second.
TWINS = {f"{role}.use_torch_compile": f"{role}.fsdp_config.use_torch_compile" for role in (ACTOR, REF)}
# With token budgets (use_dynamic_bsz, as all backends here) rows are not counted.
COUNTED = {
    f"{ACTOR}.ppo_micro_batch_size_per_gpu": (f"{ACTOR}.use_dynamic_bsz", f"{ACTOR}.ppo_max_token_len_per_gpu"),
    **{
        f"{role}.{name}": (f"{role}.log_prob_use_dynamic_bsz", f"{role}.log_prob_max_token_len_per_gpu")
        for role in (ROLLOUT, REF)
        for name in ("log_prob_micro_batch_size", "log_prob_micro_batch_size_per_gpu")
    },
}
# Losses whose clipping is one number; the others take clip_ratio_low and clip_ratio_high.
ONE_CLIP_RATIO = ("clip_cov", "dppo_tv", "dppo_kl")
# What a logger of verl's reads, where the user has one.
LOGGED = ("trainer.project_name", "trainer.experiment_name")
# Values that GAPO Lab gives to keys of the lists above.
OURS = {
    "reward.reward_model.rollout.name": ("gapo_cpu", "vllm"),
    **{f"{role}.fsdp_config.strategy": ("fsdp2",) for role in (ACTOR, REF)},
}


@cache
def ignored(key: str) -> str | None:
    """Why the key is not obeyed whatever its value, and what is; None where it is obeyed."""
    if key in OBEYED:
        return None
    if key in KEYS:
        return KEYS[key]
    if new := moved_keys.new_name(key):
        return f"verl 0.9 reads {new}"
    return next((why for start, why in NODES.items() if key.startswith(start)), None)


def problems(written: Mapping[str, Any], resolved: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each setting that differs from verl's default and is not obeyed.

    written, resolved: all settings by dotted key, as written and with their interpolations resolved.
    """
    defaults = verl_defaults()
    for key, value in written.items():
        default = defaults.get(key)
        if value == default or value == _resolved(default, resolved) or resolved.get(key) in OURS.get(key, ()):
            continue
        if key in LOGGED and resolved.get("trainer.logger"):
            continue
        if why := ignored(key):
            yield f"{key}={resolved.get(key)}: {why}"
        elif (twin := TWINS.get(key)) and resolved.get(key) != resolved.get(twin):
            yield f"{key}={resolved.get(key)}: not obeyed: verl reads {twin}={resolved.get(twin)}"
        elif key in COUNTED and resolved.get(COUNTED[key][0]):
            switch, tokens = COUNTED[key]
            yield f"{key}={resolved.get(key)}: not obeyed with {switch}=true, which is the default. Give {tokens}"
    loss = resolved.get(f"{ACTOR}.policy_loss.loss_mode")
    if resolved.get(f"{ACTOR}.clip_ratio") != defaults[f"{ACTOR}.clip_ratio"] and loss not in ONE_CLIP_RATIO:
        yield (
            f"{ACTOR}.clip_ratio={resolved[f'{ACTOR}.clip_ratio']}: not obeyed by loss_mode={loss}. Give "
            "clip_ratio_low and clip_ratio_high"
        )


def _resolved(default: object, resolved: Mapping[str, Any]) -> object:
    """verl's default where it is the value of another key."""
    if isinstance(default, str) and default.startswith("${") and default.endswith("}") and default.count("$") == 1:
        return resolved.get(default[2:-1].removeprefix("oc.select:").partition(",")[0], default)
    return default
