"""verl's replay buffer with an end: a bound on dynamic sampling, and failures that stop the run.

verl's own refills for ever when every group ties, waits two seconds between looks, and trains on
after a reward has raised.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from gapo_lab.errors import RunFailed
from gapo_lab.training.call_limit import reason_in
from gapo_lab.training.reward_function import ERROR_FILE


class BoundedReplayBuffer(ReplayBuffer):
    """Chosen by `trainer.v1.sampler.custom_sampler`; settings come through `sampler_kwargs`.

    A step that had to refill more than `max_refill_batches` training batches raises RunFailed.
    """

    def __init__(self, *, sampler_kwargs, refill_fn, **kwargs):
        # verl hands its filter settings to its own class only
        filter_metric = sampler_kwargs.get("filter_metric")
        super().__init__(
            sampler_kwargs=sampler_kwargs,
            refill_fn=self._bounded(refill_fn),
            poll_interval=sampler_kwargs.get("poll_interval", 0.1),
            filter_groups_metric=filter_metric,
            train_batch_size=sampler_kwargs.get("train_batch_size"),
            gen_batch_size=1,
            max_inflight_gen_batches=sampler_kwargs.get("max_inflight_gen_batches", 1),
            **kwargs,
        )
        self.max_refill_batches = sampler_kwargs.get("max_refill_batches", 10)
        self.refilled = 0

    def _bounded(self, refill_fn):
        def refill(prompts: int) -> int:
            limit = self.max_refill_batches * self.train_batch_size
            if self.refilled + prompts > limit:
                raise RunFailed(
                    f"dynamic sampling drew {self.refilled} further prompts in one step and too many groups still tie; "
                    f"raise trainer.v1.sampler.sampler_kwargs.max_refill_batches (now {self.max_refill_batches}), "
                    "take easier or harder data, or set algorithm.filter_groups.enable=false"
                )
            self.refilled += prompts
            return refill_fn(prompts)

        return refill

    def sample(self, global_steps: int, partition_id: str, batch_size: int):
        """As verl's; adds `training/filter_groups/refilled_prompts`."""
        self.refilled = 0
        batch, metrics = super().sample(global_steps=global_steps, partition_id=partition_id, batch_size=batch_size)
        if self.filter_groups_metric is not None and partition_id == "train":
            metrics["training/filter_groups/refilled_prompts"] = self.refilled
        return batch, metrics

    def _select_prompt_uids(self, partition_id: str, sampleable_keys: set[str], batch_size: int):
        """Return the groups that were asked for first. verl takes any of a set of random names, so that what is
        discarded
        after a refill, and with it the run, would be another each time."""
        _, *snapshots = super()._select_prompt_uids(partition_id, sampleable_keys, batch_size)
        asked_for = {uid: place for place, uid in enumerate(self.prompt_global_steps[partition_id])}
        return sorted(sampleable_keys, key=asked_for.__getitem__)[:batch_size], *snapshots

    def _materialize_batch(self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: dict):
        """Order the rows by prompt, as asked for, then by rollout.

        verl keeps the order in which the answers arrived. On vLLM that is another one each time, and with it the
        mini-batches of the run.
        """
        batch = super()._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)
        batch.reorder(rows_in_order(batch.keys, selected_prompt_uids))
        return batch

    def _sync_metadata_from_transfer_queue(self):
        super()._sync_metadata_from_transfer_queue()
        failed = [uid for keys in self.failure_keys.values() for uid in keys]
        if failed:
            told = reason_in(Path(os.environ.get(ERROR_FILE, os.devnull)))
            raise RunFailed(f"a rollout failed: {told or f'group {failed[0]}, see the log'}")


def rows_in_order(keys: Sequence[str], uids: Sequence[str]) -> list[int]:
    """Return the indices of verl's row keys (`uid_session_index`) by the place of their uid, then by session and
    index."""
    place = {uid: number for number, uid in enumerate(uids)}

    def rank(row: int) -> tuple[int, int, int]:
        uid, session, index = keys[row].rsplit("_", 2)
        return place[uid], int(session), int(index)

    return sorted(range(len(keys)), key=rank)
