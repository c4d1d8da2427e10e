"""verl's synchronous trainer, with its hooks filled: what it logs goes to the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
import transfer_queue as tq
from omegaconf import DictConfig
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer

from gapo_lab.errors import RESUME, STOPPED
from gapo_lab.rewards.answer_noise import answer_noise
from gapo_lab.rewards.list_diversity import pop_diversity
from gapo_lab.runs import checkpoints, measures
from gapo_lab.training import batch_context, truths
from gapo_lab.training.actor import LabWorker
from gapo_lab.training.recorder import TRAINING, VALIDATING, Recorder

# What the reward function says of a step's rollouts: the mean of each number is logged, as `train/<name>`, before noise
# where there is any.
TRAIN = {"score": "train/reward"}
# Numbers among them that no mean is taken of: whether noise was put on, and which item of a list was chosen.
NOT_MEASURES = {"noisy", "item", "choices"}
# What the actor and the reference model do not read of a rollout. A worker fetches all fields unless told which, and
# these are texts, or numbers that only the trainer looks at.
UNREAD = {"data_source", "extra_fields", "num_turns", "reward_model", "uid"} | {
    "entropy",
    "log_probs",
    "returns",
    "rm_scores",
    "rollout_log_probs",
    "token_level_rewards",
    "token_level_scores",
}

# The roles of the workers that train.
ACTORS = {Role.Actor, Role.ActorRollout, Role.ActorRolloutRef}


class LabTrainer(PPOTrainerSync):
    """PPOTrainer (v1, sync), unchanged in what it computes.

    Some of its private methods are wrapped (tests/unit/training/test_verl_contract.py): the one around the
    estimator, which is told what verl keeps from it, the one that turns validation rows into metrics, the one that
    writes rollouts down, the one that saves, the one that validates, the one that names the workers' classes, and the
    three that hand a batch to the workers, which then fetch what they read of it.
    `_validate` adds what the actor has told of the truths (`data.expected`).
    """

    logger: Any  # verl's, made in fit()

    def __init__(self, config: DictConfig, recorder: Recorder):
        self.recorder = recorder
        self.expected: dict[str, float] = {}
        self._truths_lie_ready: Any = None
        # in this attempt: verl may validate before
        self._has_trained = False
        super().__init__(config)

    def _init_resource_pool_mgr(self):
        """As verl's, with workers that also tell how likely the truths are."""
        super()._init_resource_pool_mgr()
        for role in ACTORS & self.role_worker_mapping.keys():
            self.role_worker_mapping[role] = ray.remote(LabWorker)

    def fit(self, *args):
        """As verl's; a run that is stopped or fails also ends what it still writes of its generations."""
        try:
            super().fit(*args)
        finally:
            self._shutdown_dump_executor()

    def on_init_end(self):
        self.recorder.begin()
        self.truths = self._read_truths()
        if self.config.trainer.val_before_train:
            self._measure_truths()
        super().on_init_end()
        self.recorder.total_steps(self.total_training_steps)

    def on_validate_begin(self):
        self._take_over_logging()
        self.recorder.phase(VALIDATING)
        super().on_validate_begin()

    def on_train_begin(self):
        self._take_over_logging()
        super().on_train_begin()

    def on_validate_end(self):
        super().on_validate_end()
        # told while it validated: it need not do another step first
        if self._is_told() and not self.recorder.stops_after(self.global_steps):
            if self._has_trained and not self._is_saved_by_verl():
                self.checkpoint_manager.sleep_replicas()  # vLLM's part of the GPU is free to save in
                self._save_checkpoint()
            self.recorder.stop_after(self.global_steps)

    def on_step_begin(self):
        self._has_trained = True
        self.recorder.phase(TRAINING)
        super().on_step_begin()

    def on_step_end(self):
        is_told, every = self._is_told(), self.config.trainer.test_freq
        if (is_told or self._resumes_here()) and not self._is_saved_by_verl():
            self._save_checkpoint()  # before vLLM wakes up and takes its part of the GPU
        is_last = self.global_steps >= self.total_training_steps
        if every > 0 and not is_told and (self.global_steps % every == 0 or is_last):
            with marked_timer("expected", self.timing_raw):
                self._measure_truths()
        super().on_step_end()
        if is_told or self._resumes_here():
            self.recorder.stop_after(self.global_steps, STOPPED if is_told else RESUME)

    def _validate(self):
        """As verl's; a run that was told to stop leaves it to its next attempt (train.py), which begins with it."""
        if self._has_trained and self.recorder.stops_after(self.global_steps):
            return {}
        return super()._validate() | self.expected

    def _save_checkpoint(self):
        """As verl's, which forgets over a restart what is there already, and would keep one more."""
        keep, place = self.config.trainer.max_actor_ckpt_to_keep, Path(self.config.trainer.default_local_dir)
        if keep:
            checkpoints.keep_newest(place, max(1, keep - 1))
        super()._save_checkpoint()

    def _is_told(self) -> bool:
        return self.recorder.attempt.stop_path.exists()

    def _is_saved_by_verl(self) -> bool:
        """Whether verl has saved this step by itself."""
        every = self.config.trainer.save_freq
        return every > 0 and (not self.global_steps % every or self.global_steps >= self.total_training_steps)

    def _resumes_here(self) -> bool:
        """Whether a smoke run ends its processes after this step, to show that a checkpoint is enough to go on."""
        return self.global_steps == self.config.scale.get("resume_after") and (
            self.global_steps < self.total_training_steps
        )

    def _read_truths(self) -> list[truths.Truth]:
        data = self.config.data
        return (
            truths.read(Path(data.val_files), self.tokenizer, data.apply_chat_template_kwargs) if data.expected else []
        )

    def _measure_truths(self) -> None:
        """Before the weights go to who generates: the actor is at hand, and vLLM does not hold the memory yet."""
        if self.truths:
            if self._truths_lie_ready is None:
                self._truths_lie_ready = truths.lie_ready(self.truths)
            logs = truths.log_likelihoods(self.truths, self._truths_lie_ready, self.actor_rollout_wg)
            self.expected = truths.metrics(self.truths, logs)
            truths.write(self.recorder.attempt.generations / "truths" / f"{self.global_steps}.jsonl", self.truths, logs)

    def _take_over_logging(self) -> None:
        """verl makes its logger inside fit(), just before the first of these hooks."""
        if self.logger is not self.recorder:
            self.recorder.behind = self.logger
            self.logger = self.recorder

    def _compute_advantage(self, batch, metrics):
        """verl reads the rows in the order of `batch.keys`; so do the facts about them."""
        fields = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        infos = [extra.get("reward_extra_info", {}) for extra in fields.pop("extra_fields").tolist()]
        facts = batch_context.BatchFacts(
            step=self.global_steps,
            seed=self.config.seed,
            order=[batch_context.rollout_number(key) for key in batch.keys],
            extras=batch_context.numbers_by_name(infos),
        )
        for measure in facts.extras.keys() - NOT_MEASURES:
            if not measure.startswith("true_"):
                values = facts.extras.get(f"true_{measure}", facts.extras[measure])
                metrics[TRAIN.get(measure, f"train/{measure}")] = sum(values) / len(values)
        if replaced := facts.extras.get("noisy"):
            metrics["train/noisy_share"] = sum(replaced) / len(replaced)
        with batch_context.about(facts):
            return super()._compute_advantage(batch, metrics=metrics)

    def _compute_old_log_prob(self, batch, metrics):
        return _fetching_what_is_read(super()._compute_old_log_prob, batch, metrics)

    def _compute_ref_log_prob(self, batch, metrics):
        return _fetching_what_is_read(super()._compute_ref_log_prob, batch, metrics)

    def _update_actor(self, batch, metrics):
        return _fetching_what_is_read(super()._update_actor, batch, metrics)

    def _log_rollout_data(self, batch, timing_raw, rollout_data_dir):
        """Every `scale.rollouts_every` steps: at paper scale the text of all would fill the disk."""
        if (self.global_steps - 1) % self.config.scale.get("rollouts_every", 1) == 0:
            super()._log_rollout_data(batch, timing_raw, rollout_data_dir)

    def _val_metrics_update(self, data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs):
        """Answers chosen from lists are also measured together: how evenly they fall on each list. Of several answers a
        task it is said how far their mean may be off."""
        measures.check_returned(self.config.get("metric"), reward_extra_infos_dict)
        diversity = pop_diversity(data_sources, reward_extra_infos_dict)
        diversity |= answer_noise(data_sources, sample_uids, reward_extra_infos_dict)
        return (
            super()._val_metrics_update(data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs) | diversity
        )


def _fetching_what_is_read(compute, batch, metrics):
    """`compute(batch, metrics)` with a batch whose workers fetch all fields but `UNREAD`."""
    stored = tq.get_client().kv_retrieve_meta(keys=batch.keys[:1], partition_id=batch.partition_id).field_names
    batch.fields = [name for name in stored if name not in UNREAD]
    batch = compute(batch, metrics=metrics)
    batch.fields = None  # whoever comes next decides for himself
    return batch
