"""One group of answers for each of some training prompts, with their rewards: the model as it is, nothing trained.

The prompts are tokenised, the answers drawn and the rewards called as in a run's first step: by torch and transformers,
or by vLLM where the configuration's backend is vLLM's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from gapo_lab.models.loading import folder_or_id, pretrained, tokenize, tokenizer_of
from gapo_lab.training.request_seed import request_seed
from gapo_lab.training.reward_outside_training import RewardCalls
from gapo_lab.training.variables import VLLM_ON_CPU

AT_ONCE = 16  # prompts between two words of progress

# done prompts, all prompts
Progress = Callable[[int, int], None]


def sample_groups(config: DictConfig, prompts: int, progress: Progress) -> list[dict[str, Any]]:
    """Return a row for each answer: `uid` of its prompt, `reward`, `input`, `output`.

    config: resolved; `actor_rollout_ref.rollout` has the answers a prompt (`n`) and how they are drawn, `seed` chooses
    prompts and answers. prompts: how many; all training rows where there are fewer. Raises UserError where the data or
    the reward do not work.
    """
    import pyarrow.parquet as pq

    from gapo_lab.data.prepare import prepare

    through_vllm = config.backend.name != "cpu"
    named, n = str(config.model.path), int(config.actor_rollout_ref.rollout.n)
    model, tokenizer = (None, tokenizer_of(named)) if through_vllm else pretrained(named)
    prepared = prepare(OmegaConf.to_container(config.data, resolve=True), tokenizer, Path("data"))
    rows = _chosen(pq.read_table(prepared.train).to_pylist(), prompts, int(config.seed))
    calls = RewardCalls(config)
    words = config.data.apply_chat_template_kwargs
    asked = [tokenize(tokenizer, row["prompt"], words) for row in rows]
    drawn = _through_vllm(config, asked) if through_vllm else _through_torch(config, model, tokenizer, asked, progress)
    texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
    many = [row for row in rows for _ in range(n)]
    scored = calls.scores(many, texts)
    return [
        {
            "uid": str(place // n),
            "reward": float(one["score"]),
            "input": "\n".join(message["content"] for message in row["prompt"]),
            "output": text,
        }
        for place, (row, text, one) in enumerate(zip(many, texts, scored, strict=True))
    ]


def _chosen(rows: list[dict[str, Any]], prompts: int, seed: int) -> list[dict[str, Any]]:
    if prompts >= len(rows):
        return rows
    places = np.random.default_rng(seed).choice(len(rows), prompts, replace=False)
    return [rows[place] for place in sorted(places)]


def _through_torch(
    config: DictConfig, model, tokenizer, asked: Sequence[list[int]], progress: Progress
) -> list[list[int]]:
    from gapo_lab.models.sampling import SamplingParams, sample

    how, out = config.actor_rollout_ref.rollout, []
    params = SamplingParams(
        int(config.data.max_response_length), float(how.temperature), float(how.top_p), int(how.top_k)
    )
    eos, pad = {tokenizer.eos_token_id}, tokenizer.pad_token_id
    for number, part in enumerate(_parts(asked)):
        seed = int(config.seed) * 1_000_003 + number
        out += sample(model, part, int(how.n), params, eos, pad, seed)[0]
        progress(len(out) // int(how.n), len(asked))
    return out


def _parts(asked: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    for first in range(0, len(asked), AT_ONCE):
        yield list(asked[first : first + AT_ONCE])


def _through_vllm(config: DictConfig, asked: Sequence[list[int]]) -> list[list[int]]:
    """Draw the answers by vLLM in this process, with the engine settings and the seeds of a run; it shows progress."""
    if config.trainer.device == "cpu":
        for name, value in VLLM_ON_CPU.items():
            os.environ.setdefault(name, value)
    from vllm import LLM, SamplingParams

    how, n = config.actor_rollout_ref.rollout, int(config.actor_rollout_ref.rollout.n)
    settings: dict[str, Any] = {
        "dtype": str(how.dtype),
        "tensor_parallel_size": int(how.tensor_model_parallel_size),
        "gpu_memory_utilization": float(how.gpu_memory_utilization),
        "max_model_len": int(how.max_model_len),
        "enforce_eager": bool(how.enforce_eager),
        "enable_chunked_prefill": bool(how.enable_chunked_prefill),
        **{name: value for name, value in (how.engine_kwargs.get("vllm") or {}).items() if value is not None},
    }
    engine = LLM(model=folder_or_id(str(config.model.path)), **settings)
    requests: list[Any] = []
    params = []
    for index, ids in enumerate(asked):
        for rollout in range(n):
            seed = request_seed(int(config.seed), step=0, source="probe", index=index, rollout=rollout)
            requests.append({"prompt_token_ids": ids})
            params.append(
                SamplingParams(
                    temperature=float(how.temperature),
                    top_p=float(how.top_p),
                    top_k=int(how.top_k),
                    max_tokens=int(config.data.max_response_length),
                    seed=seed,
                )
            )
    return [list(one.outputs[0].token_ids) for one in engine.generate(requests, params)]
