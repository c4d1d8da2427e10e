"""verl's synchronous trainer, with its hooks filled: what it logs goes to the run folder."""

from __future__ import annotations

import transfer_queue as tq
from omegaconf import DictConfig
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from gapo_lab.diversity import pop_diversity
from gapo_lab.training import batch_facts
from gapo_lab.training.recorder import Recorder


class LabTrainer(PPOTrainerSync):
    """PPOTrainer (v1, sync), unchanged in what it computes.

    Two of its private methods are wrapped (tests/test_verl_contract.py): the one around the estimator, which is told
    what verl keeps from it, and the one that turns validation rows into metrics.
    """

    def __init__(self, config: DictConfig, recorder: Recorder):
        self.recorder = recorder
        super().__init__(config)

    def on_init_end(self):
        super().on_init_end()
        self.recorder.total_steps(self.total_training_steps)

    def on_validate_begin(self):
        self._take_over_logging()
        self.recorder.phase("validating")
        super().on_validate_begin()

    def on_train_begin(self):
        self._take_over_logging()
        super().on_train_begin()

    def on_step_begin(self):
        self.recorder.phase("training")
        super().on_step_begin()

    def _take_over_logging(self) -> None:
        """verl makes its logger inside fit(), just before the first of these hooks."""
        if self.logger is not self.recorder:
            self.recorder.behind = self.logger
            self.logger = self.recorder

    def _compute_advantage(self, batch, metrics):
        """verl reads the rows in the order of `batch.keys`; so do the facts about them."""
        fields = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"]
        )
        infos = [extra.get("reward_extra_info", {}) for extra in fields.pop("extra_fields").tolist()]
        facts = batch_facts.BatchFacts(
            step=self.global_steps,
            seed=self.config.seed,
            order=[batch_facts.rollout_number(key) for key in batch.keys],
            extras=batch_facts.numbers_by_name(infos),
        )
        with batch_facts.about(facts):
            return super()._compute_advantage(batch, metrics=metrics)

    def _val_metrics_update(self, data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs):
        """Answers chosen from lists are also measured together: how evenly they fall on each list."""
        diversity = pop_diversity(data_sources, reward_extra_infos_dict)
        return (
            super()._val_metrics_update(data_sources, sample_uids, reward_extra_infos_dict, *args, **kwargs)
            | diversity
        )
