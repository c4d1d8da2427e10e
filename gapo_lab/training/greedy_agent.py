"""The agent loops of `backend=vllm`: a seed for each request, and greedy decoding for marked rows.

verl samples a whole batch with one set of parameters; the agent loop of a row may change its own. agent_loops.yaml
gives these classes the names that stand in the rows (`agent_name`).
"""

from __future__ import annotations

import hashlib
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": -1}


class SeededAgentLoop(SingleTurnAgentLoop):
    """verl's single turn with a seed of its own for each request.

    vLLM draws from one generator an engine where a request has no seed: which answer gets which number then depends
    on the order in which the requests arrive, and no run can be repeated.
    """

    async def run(self, sampling_params: dict[str, Any], **row) -> AgentLoopOutput:
        """`row` holds the fields of the prompt's row and verl's `session_id`, the number of the rollout."""
        seed = request_seed(
            self.rollout_config.seed,
            step=row.get("global_steps", 0),
            source=row.get("data_source", ""),
            index=row.get("index", 0),
            rollout=row.get("session_id", 0),
        )
        return await super().run({**sampling_params, "seed": seed}, **row)


class GreedyAgentLoop(SingleTurnAgentLoop):
    """verl's single turn, decoded greedily whatever the batch asks for."""

    async def run(self, sampling_params: dict[str, Any], **row) -> AgentLoopOutput:
        return await super().run({**sampling_params, **GREEDY}, **row)


def request_seed(run_seed: int, *, step: int, source: str, index: int, rollout: int) -> int:
    """Return the seed of one request, from 0 to 2^63 - 1 (what torch's generators take).

    The same run seed, training step, data source, row of that source and rollout number give the same seed, whatever
    the order of the requests; any other gives another.
    """
    text = f"{int(run_seed)} {int(step)} {source} {int(index)} {int(rollout)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
