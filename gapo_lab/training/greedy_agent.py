"""Greedy validation rows on verl's own rollout (backend=vllm): rows marked `agent_name: single_turn_greedy`.

verl validates a whole batch with one set of sampling parameters; the agent loop of a row may change its own.
agent_loops.yaml gives this class the name that stands in the rows.
"""

from __future__ import annotations

from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop

GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": -1}


class GreedyAgentLoop(SingleTurnAgentLoop):
    """verl's single turn, decoded greedily whatever the batch asks for."""

    async def run(self, sampling_params: dict[str, Any], **kwargs) -> AgentLoopOutput:
        return await super().run({**sampling_params, **GREEDY}, **kwargs)
