"""verl's worker with one thing more: how likely its actor gives the truths of the test sets."""

from __future__ import annotations

from collections.abc import Sequence

from verl.single_controller.base.decorator import Dispatch, register
from verl.utils.ulysses import set_ulysses_sequence_parallel_group
from verl.workers.engine_workers import ActorRolloutRefWorker

from gapo_lab.training.shared_model import Rows, of_share


class LabWorker(ActorRolloutRefWorker):
    """verl's, unchanged in what it trains."""

    @register(dispatch_mode=Dispatch.ONE_TO_ALL)
    def log_likelihoods(self, rows: Rows, temperatures: Sequence[float]) -> list[tuple[int, list[float]]]:
        """Return the numbers of this worker's share of the rows (prompt, answer), each with log P at each temperature.

        By the weights that the actor has now. Nothing is drawn, and the actor is left as it was.
        """
        engine = self.actor.engine
        with engine.eval_mode():
            # a row is whole here: workers that share a sequence in training take rows of their own
            set_ulysses_sequence_parallel_group(None)
            return of_share(engine, rows, temperatures)
