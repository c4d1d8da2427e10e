"""verl's reward managers with noise on training rollouts (`noise=0.1`), chosen where the configuration has noise.

On a CPU the batched manager calls it, on GPUs verl's reward workers: both say which rollout it is. What it returns is
what the estimator and dynamic sampling's filter read.
"""

from __future__ import annotations

from verl import DataProto
from verl.experimental.reward_loop.reward_manager import register
from verl.experimental.reward_loop.reward_manager.dapo import DAPORewardManager

from gapo_lab.rewards import outliers

TRAIN = "train"  # the data source of what is trained on; every other is a validation set


@register("noisy")
class NoisyRewardManager(DAPORewardManager):
    """As verl's `dapo` where an overlong penalty is configured, else as its `naive`; the penalty is not replaced."""

    async def run_single(self, data: DataProto) -> dict:
        """Return the reward of one rollout. Raises KeyError where verl does not say which rollout it is."""
        found = await super().run_single(data)
        about = {name: values[-1] for name, values in data.non_tensor_batch.items()}
        if about["data_source"] != TRAIN:
            return found
        replaced = outliers.is_replaced(
            self.config.noise,
            self.config.seed,
            int(about["global_steps"]),
            str(about["extra_info"]["id"]),
            int(about["session_id"]),
        )
        info = outliers.noisy(found["reward_extra_info"], replaced)
        moved = info["score"] - found["reward_extra_info"]["score"]
        return {"reward_score": found["reward_score"] + moved, "reward_extra_info": info}
