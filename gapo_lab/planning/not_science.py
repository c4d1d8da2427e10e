"""Settings that are not in the run key, each with the reason. Declarations only.

Everything else is science. A run with another value of one of these is the same run: it is not started again.
"""

from __future__ import annotations

_ROLES = ("actor", "ref")
_OUR_WORD = "our own word: what it sets in verl's tree is science where it counts"
_NAMES = "only names or groups runs"
_PLACE = "a place: what lies there is in the key by content"
_RECORDS = "logging, keeping, resuming: after the fact"
_WHERE = "machines and processes: the same run elsewhere"
_CUT = "how the same computation is cut into pieces; only rounding, and which rollouts share a mini-batch, can differ"
_SPEED = "how fast, or with how much memory, the same is computed"

# The beginning of dotted keys -> why a changed value is not another run.
NOT_SCIENCE: dict[str, str] = {
    **dict.fromkeys(("recipe.", "scale.", "backend.", "model.", "tau"), _OUR_WORD),
    **dict.fromkeys(("algo.name", "algo.label", "study", "metric", "claims", "reward.name"), _NAMES),
    "seed": "in the key as the run's seed",
    **dict.fromkeys(("cluster.", "hydra.", "run_root", "on_finish"), _WHERE),
    **dict.fromkeys(("tracking", "keep", "check_disk"), _RECORDS),
    "auto.": "how many seeds there are; each is a run of its own",
    "fair.": "how settings are chosen; each run has its own values",
    "search.": "how runs are proposed; each has its own values",
    "reward.timeout": "a run that is over it ends; none goes on otherwise",
    "reward.sandbox.parallel": _SPEED,
    **dict.fromkeys(("actor_rollout_ref.model.path", "data.train_files", "data.val_files"), _PLACE),
    **dict.fromkeys(("data.repos", "data.path", "data.ood_path", "mined"), _PLACE),
    "data.expected": "measures what is trained anyway, and draws nothing",
    **dict.fromkeys(("trainer.default_", "trainer.rollout_data_dir", "trainer.validation_data_dir"), _RECORDS),
    **dict.fromkeys(("trainer.experiment_name", "trainer.project_name", "trainer.log"), _RECORDS),
    **dict.fromkeys(("trainer.max_actor_ckpt_to_keep", "trainer.resume", "trainer.save_freq"), _RECORDS),
    **dict.fromkeys(("actor_rollout_ref.rollout.prometheus.", "trainer.esi_redundant_time"), _RECORDS),
    **dict.fromkeys(("trainer.del_local_ckpt_after_load", "global_profiler."), _RECORDS),
    **dict.fromkeys(("actor_rollout_ref.actor.checkpoint.", "actor_rollout_ref.rollout.disable_log_stats"), _RECORDS),
    **dict.fromkeys(("ray_kwargs.", "transfer_queue.", "trainer.device"), _WHERE),
    **dict.fromkeys(("trainer.n_gpus_per_node", "trainer.nnodes"), _CUT),
    **dict.fromkeys(("data.dataloader_num_workers", "reward.num_workers", "reward.reward_model.rollout."), _WHERE),
    "actor_rollout_ref.rollout.agent.num_workers": _WHERE,
    "actor_rollout_ref.rollout.name": "the backend's, which is in the key where it samples otherwise",
    **{
        f"actor_rollout_ref.rollout.{key}": _SPEED
        for key in (
            *("free_cache_engine", "checkpoint_engine.", "gpu_memory_utilization", "tensor_model_parallel_size"),
            *("enforce_eager", "max_num_", "enable_chunked_prefill", "enable_sleep_mode"),
        )
    },
    "actor_rollout_ref.rollout.log_prob_": _CUT,
    "actor_rollout_ref.rollout.max_model_len": "refused where it would cut an answer",
    **{
        f"actor_rollout_ref.actor.{key}": _CUT
        for key in (
            *("ppo_micro_batch_size", "ppo_max_token_len_per_gpu", "use_dynamic_bsz"),
            "ulysses_sequence_parallel_size",
        )
    },
    **{f"actor_rollout_ref.{role}.strategy": "always FSDP2" for role in ("actor", "ref")},
    "actor_rollout_ref.actor.use_torch_compile": _SPEED,
    **{f"actor_rollout_ref.ref.{key}": _CUT for key in ("log_prob_", "ulysses_sequence_parallel_size")},
    "actor_rollout_ref.ref.use_torch_compile": _SPEED,
    **{
        f"actor_rollout_ref.model.{key}": _SPEED
        for key in ("enable_gradient_checkpointing", "use_remove_padding", "use_fused_kernels")
    },
    "actor_rollout_ref.model.override_config.attn_implementation": _SPEED,
    **{
        f"actor_rollout_ref.{role}.fsdp_config.{key}": _SPEED
        for role in _ROLES
        for key in ("strategy", "param_offload", "optimizer_offload", "use_torch_compile", "reshard_after_forward")
    },
    "trainer.v1.sampler.sampler_kwargs.poll_interval": "how often the sampler looks; what it chooses is science",
    "trainer.v1.sampler.sampler_kwargs.train_batch_size": "data.train_batch_size, which is science",
}
# The one seed, under the names that verl needs it by.
SEEDS = (
    "data.seed",
    "actor_rollout_ref.actor.data_loader_seed",
    "actor_rollout_ref.actor.fsdp_config.seed",
    "actor_rollout_ref.rollout.seed",
)
