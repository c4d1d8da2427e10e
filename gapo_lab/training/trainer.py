"""verl's synchronous trainer, with its hooks filled: what it logs goes to the run folder."""

from __future__ import annotations

from omegaconf import DictConfig
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from gapo_lab.training.recorder import Recorder


class LabTrainer(PPOTrainerSync):
    """PPOTrainer (v1, sync), unchanged in what it computes."""

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

    def on_step_end(self):
        super().on_step_end()
        if self.recorder.attempt.stop_path.exists():
            every = self.config.trainer.save_freq
            if every <= 0 or self.global_steps % every:
                self._save_checkpoint()
            self.recorder.stop_after(self.global_steps)

    def _take_over_logging(self) -> None:
        """verl makes its logger inside fit(), just before the first of these hooks."""
        if self.logger is not self.recorder:
            self.recorder.behind = self.logger
            self.logger = self.recorder
