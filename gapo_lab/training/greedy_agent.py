"""The agent loops of vLLM: a seed for each request, greedy decoding for marked rows, and no prompt that is cut.

verl samples a whole batch with one set of parameters; the agent loop of a row may change its own. agent_loops.yaml
gives these classes the names that stand in the rows (`agent_name`).
"""

from __future__ import annotations

import logging
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.utils.tokenizer import continuous_token_wiring

from gapo_lab.training.request_seed import request_seed
from gapo_lab.training.reward_function import reason_kept

GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": -1}


class Once(logging.Filter):
    """Lets the same message through once: verl makes a loop for each row, and each would say it."""

    def __init__(self):
        super().__init__()
        self.seen: set[tuple] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = (record.msg, record.args)
        is_new = message not in self.seen
        self.seen.add(message)
        return is_new


continuous_token_wiring.logger.addFilter(Once())


class WholePromptAgentLoop(SingleTurnAgentLoop):
    """verl's single turn, which cuts a prompt that is too long from the left. Here that ends the run.

    Data preparation has left such tasks out (`too_long` in a run's data.json); what is still too long is a mistake.
    """

    def _cap_text_prompt_length(self, prompt_ids: list[int]) -> list[int]:
        limit = self.rollout_config.prompt_length
        if len(prompt_ids) > limit:
            with reason_kept():
                raise ValueError(
                    f"a prompt of {len(prompt_ids)} tokens is longer than data.max_prompt_length={limit}. Raise that "
                    "key."
                )
        return prompt_ids


class SeededAgentLoop(WholePromptAgentLoop):
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


class GreedyAgentLoop(WholePromptAgentLoop):
    """verl's single turn, decoded greedily whatever the batch asks for."""

    async def run(self, sampling_params: dict[str, Any], **row) -> AgentLoopOutput:
        return await super().run({**sampling_params, **GREEDY}, **row)
