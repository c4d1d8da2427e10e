"""The agent loops of backend=vllm, through verl's own registry: greedy rows, and a seed for each request."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from pathlib import Path

os.environ.setdefault("VERL_PLATFORM", "cpu")
os.environ.setdefault("VERL_USE_EXTERNAL_MODULES", "gapo_lab.training.verl_plugin")

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf

from gapo_lab.config.compose import compose_run
from gapo_lab.data.prepare import GREEDY_AGENT, SAMPLED_AGENT
from gapo_lab.paths import NANO
from gapo_lab.training.reward_function import ERROR_FILE

pytestmark = pytest.mark.verl

CHECKPOINT = NANO / "checkpoint"
SAMPLED = {"temperature": 1.0, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.0, "logprobs": False}
ANSWER = [7, 8, 9]


class RecordingServer:
    """Answers with the same tokens and keeps what it was asked for."""

    def __init__(self):
        self.asked: list[dict] = []

    async def generate(self, **request):
        from verl.workers.rollout.replica import TokenOutput

        self.asked.append(request)
        return TokenOutput(token_ids=list(ANSWER), extra_fields={"global_steps": 3})


@pytest.fixture(scope="session")
def config() -> DictConfig:
    return compose_run(["model=mistral_7b", f"model.path={CHECKPOINT}"])


def run_row(config: DictConfig, agent_name: str, sampling: dict, **row) -> tuple[RecordingServer, object]:
    """One row as `AgentLoopWorker._run_agent_loop` treats it: the loop by its name, then `run`."""
    from transformers import AutoTokenizer
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap, _agent_loop_registry
    from verl.utils.dataset.rl_dataset import RLHFDataset
    from verl.utils.import_utils import resolve_config_path

    path = resolve_config_path(config.actor_rollout_ref.rollout.agent.agent_loop_config_path)
    registry = {**_agent_loop_registry, **{loop.name: loop for loop in OmegaConf.load(path)}}
    server = RecordingServer()

    async def answer():
        loop = hydra.utils.instantiate(
            config=registry[agent_name],
            trainer_config=DictConfigWrap(config=config),
            server_manager=server,
            tokenizer=AutoTokenizer.from_pretrained(CHECKPOINT),
            processor=None,
            hf_model_type="llama",
            dataset_cls=RLHFDataset,
            data_config=DictConfigWrap(config.data),
            tools=ToolListWrap([]),
        )
        return await loop.run(sampling, raw_prompt=[{"role": "user", "content": "<|code|>a = 1"}], **row)

    return server, asyncio.run(answer())


def test_a_greedy_row_is_decoded_greedily(config):
    server, output = run_row(config, GREEDY_AGENT, SAMPLED)
    (asked,) = server.asked
    assert asked["sampling_params"] == {**SAMPLED, "temperature": 0, "top_p": 1, "top_k": -1}
    assert output.response_ids == ANSWER


def test_the_parameters_of_the_batch_stay_for_the_other_rows(config):
    shared = dict(SAMPLED)
    run_row(config, GREEDY_AGENT, shared)
    server, _ = run_row(config, SAMPLED_AGENT, shared)
    asked = dict(server.asked[0]["sampling_params"])
    assert 0 <= asked.pop("seed") < 2**63
    assert asked == SAMPLED == shared


def test_a_request_is_seeded_by_what_it_is_and_not_by_when_it_arrives(config):
    from gapo_lab.training.request_seed import request_seed

    row = {"global_steps": 3, "data_source": "micro", "index": 5, "session_id": 2}

    def seed(**changed) -> int:
        server, _ = run_row(config, SAMPLED_AGENT, SAMPLED, **{**row, **changed})
        return server.asked[0]["sampling_params"]["seed"]

    others = [seed(global_steps=4), seed(data_source="micro_id"), seed(index=6), seed(session_id=3)]
    assert seed() == seed() == request_seed(0, step=3, source="micro", index=5, rollout=2)
    assert len({seed(), *others, request_seed(1, step=3, source="micro", index=5, rollout=2)}) == 6


def test_both_ask_with_the_same_prompt(config):
    greedy, _ = run_row(config, GREEDY_AGENT, SAMPLED)
    sampled, _ = run_row(config, SAMPLED_AGENT, SAMPLED)
    assert greedy.asked[0]["prompt_ids"] == sampled.asked[0]["prompt_ids"]


@pytest.mark.parametrize("agent", [SAMPLED_AGENT, GREEDY_AGENT])
def test_a_prompt_that_is_too_long_is_refused_and_not_cut(config, agent, tmp_path, monkeypatch):
    reason = tmp_path / "reason.txt"
    monkeypatch.setenv(ERROR_FILE, str(reason))
    short = config.copy()
    short.actor_rollout_ref.rollout.prompt_length = 3
    wanted = r"a prompt of \d+ tokens is longer than data.max_prompt_length=3. Raise that key."
    with pytest.raises(ValueError, match=wanted):
        run_row(short, agent, SAMPLED)
    # where the replay buffer, which ends the run, finds what to say
    assert re.search(wanted, reason.read_text())


def test_a_warning_that_verl_repeats_for_each_row_comes_once(config, monkeypatch):
    from verl.utils.tokenizer import continuous_token_wiring

    from gapo_lab.training.greedy_agent import Once

    said, logger = [], continuous_token_wiring.logger
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    # the logger alone: whoever else was imported may have set logging up otherwise
    settings = {"handlers": [handler], "filters": [Once()], "level": logging.WARNING, "disabled": False, "_cache": {}}
    for name, value in settings.items():
        monkeypatch.setattr(logger, name, value)
    for _ in range(3):
        run_row(config, SAMPLED_AGENT, SAMPLED)
    assert sum("No model-specific Continuous Token builder" in message for message in said) == 1


def test_the_config_key_leads_to_the_file(config):
    path = Path(config.actor_rollout_ref.rollout.agent.agent_loop_config_path)
    assert path.is_absolute()
    assert [loop.name for loop in OmegaConf.load(path)] == [SAMPLED_AGENT, GREEDY_AGENT]
