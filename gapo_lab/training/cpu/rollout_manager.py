"""Rollouts of a whole batch at once, in the trainer's process: one call a server, rewards beside it.

verl's own agent loop sends every rollout by itself through four kinds of processes; a small model spends its
time there. This one keeps verl's contract (`AgentLoopManager.generate_sequences` puts trajectories into the
TransferQueue) and verl's reward managers.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter

import numpy as np
import ray
import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import NonTensorData, NonTensorStack, TensorDict
from verl.experimental.agent_loop import AgentLoopOutput
from verl.protocol import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from gapo_lab.data.tasks.task import DEV, GREEDY_AGENT
from gapo_lab.models.loading import tokenize

# What the trainer reads of a prompt later on; every further field costs time in every phase.
KEPT = ("uid", "data_source", "reward_model")
# What a reward manager is told of a rollout; verl's own agent loop tells it the same and more.
TOLD = ("data_source", "reward_model", "extra_info", "global_steps", "session_id")


class BatchedRolloutManager:
    """Generates, scores and stores the rollouts of a batch of prompts.

    servers: handles of `CpuRolloutServer`; the prompts are shared out among them in order.
    """

    def __init__(self, config: DictConfig, servers: list, tokenizer):
        self.config = config
        self.rollout = config.actor_rollout_ref.rollout
        self.servers = servers
        self.tokenizer = tokenizer
        self.reward_manager = load_reward_manager(config, tokenizer)
        # token ids by (role, text) of a prompt's messages: validation asks for the same ones again and again
        self.tokenized: dict[tuple, list[int]] = {}
        # batches asked for in one step: a refill must not draw the same numbers again
        self.calls: Counter = Counter()

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Roll out every prompt of the batch and put trajectories, then groups, into the TransferQueue."""
        rows = _rows(prompts)
        validate = bool(rows[0].get("validate", False))
        for row in rows:
            row.pop("validate", None)
        # dev by itself: the other sets are answered as if it was not there
        for kind in ((False, False), (True, False), (False, True)):
            chosen = [row for row in rows if (row.get("agent_name") == GREEDY_AGENT, _is_dev(row)) == kind]
            if chosen:
                self._roll_out(chosen, validate, *kind)

    def _roll_out(self, rows: list[dict], validate: bool, greedy: bool, dev: bool) -> None:
        step = int(rows[0]["global_steps"])
        sampling = self.rollout.val_kwargs if validate else self.rollout
        n = int(sampling.n)
        prompt_ids = [self._tokenize(row["raw_prompt"]) for row in rows]
        share = -(-len(rows) // len(self.servers))
        futures = []
        for rank, server in enumerate(self.servers):
            part = prompt_ids[rank * share : (rank + 1) * share]
            if part:
                seed = self._draw_seed(step, validate, greedy, rank, dev)
                temperature = 0.0 if greedy else float(sampling.temperature)
                futures.append(
                    server.generate_batch.remote(
                        part,
                        n,
                        temperature,
                        float(sampling.top_p),
                        int(sampling.top_k),
                        seed,
                        bool(self.rollout.calculate_log_probs),
                    )
                )
        self.calls[step, validate, greedy, dev] += 1
        answers, likely, versions = [], [], []
        for part, log_probs, version in ray.get(futures):
            answers += part
            likely += log_probs or [None] * len(part)
            versions += [version] * len(part)
        sessions = [(i, s) for i in range(len(rows)) for s in range(n)]
        told = [{**rows[i], "session_id": s} for i, s in sessions]
        rewards = self._score(told, [prompt_ids[i] for i, _ in sessions], answers)
        self._store(rows, sessions, prompt_ids, answers, likely, versions, rewards, validate)

    def _tokenize(self, messages) -> list[int]:
        """Chat messages to token ids, through the model's chat template. Raises ValueError when too long."""
        key = tuple((message["role"], message["content"]) for message in messages)
        if key in self.tokenized:
            return self.tokenized[key]
        ids = tokenize(self.tokenizer, messages, self.config.data.apply_chat_template_kwargs)
        if len(ids) > self.rollout.prompt_length:
            raise ValueError(
                f"a prompt of {len(ids)} tokens is longer than data.max_prompt_length={self.rollout.prompt_length}. "
                "Raise that key."
            )
        self.tokenized[key] = ids
        return ids

    def _draw_seed(self, step: int, validate: bool, greedy: bool, rank: int, dev: bool) -> int:
        words = (self.rollout.seed, step, validate, greedy, rank, self.calls[step, validate, greedy, dev])
        text = repr((*words, DEV) if dev else words)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")

    def _score(self, rows: list[dict], prompt_ids: list[list[int]], answers: list[list[int]]) -> list[dict]:
        """verl's reward manager on every trajectory; an exception in it ends the run."""
        self.reward_manager.loop = _NoThreads()

        async def score_all():
            # together: an `async def` that waits for other processes lets the next one start
            items = [_reward_item(*item) for item in zip(rows, prompt_ids, answers, strict=True)]
            return await asyncio.gather(*map(self.reward_manager.run_single, items))

        return asyncio.run(score_all())

    def _store(self, rows, sessions, prompt_ids, answers, likely, versions, rewards, validate) -> None:
        partition = "val" if validate else "train"
        keys, fields, tags = [], [], []
        for (i, session), answer, log_probs, version, reward in zip(
            sessions, answers, likely, versions, rewards, strict=True
        ):
            row, ids = rows[i], prompt_ids[i]
            output = AgentLoopOutput(
                prompt_ids=ids,
                response_ids=answer,
                response_mask=[1] * len(answer),
                response_logprobs=log_probs,
                reward_score=float(reward["reward_score"]),
                num_turns=2,
                metrics={},
                extra_fields={
                    "reward_extra_info": reward.get("reward_extra_info", {}),
                    "global_steps": version,
                    "min_global_steps": version,
                    "max_global_steps": version,
                },
            )
            field = output.as_dict()
            field.update({key: row[key] for key in KEPT if key in row})
            field["loss_mask"] = field["response_mask"]
            field["input_ids"] = torch.cat([field["prompts"], field["responses"]])
            field["position_ids"] = torch.arange(len(field["input_ids"]))
            keys.append(f"{row['uid']}_{session}_0")
            fields.append(field)
            tags.append(
                {
                    "status": "success",
                    "prompt_len": len(ids),
                    "response_len": len(answer),
                    "seq_len": len(ids) + len(answer),
                    "global_steps": row["global_steps"],
                    "min_global_steps": version,
                    "max_global_steps": version,
                }
            )
        tq.kv_batch_put(keys=keys, fields=list_of_dict_to_tensordict(fields), tags=tags, partition_id=partition)
        # a group is announced only when all of its trajectories lie there
        groups = [row["uid"] for row in rows]
        tq.kv_batch_put(keys=groups, partition_id=partition, tags=[{"status": "finished"}] * len(groups))


def _is_dev(row: dict) -> bool:
    return str(row.get("data_source")) == DEV


class _NoThreads:
    """The part of an event loop that reward managers ask for: a function that takes microseconds runs where it is."""

    async def run_in_executor(self, _executor, function, *args):
        return function(*args)


def _rows(batch: TensorDict) -> list[dict]:
    """Return the rows of a batch as plain values: tensors by index, tensordict's wrappers opened."""
    columns = {}
    for key, value in batch.items():
        if isinstance(value, NonTensorStack):
            columns[key] = [part.data for part in value.unbind(0)]
        elif isinstance(value, NonTensorData):
            columns[key] = [value.data] * len(batch)
        else:
            columns[key] = list(value)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _reward_item(row: dict, prompt_ids: list[int], answer: list[int]) -> DataProto:
    """One trajectory in the form verl's reward managers read."""
    response = torch.tensor([answer])
    mask = torch.ones(1, len(prompt_ids) + len(answer), dtype=torch.long)
    batch = TensorDict({"prompts": torch.tensor([prompt_ids]), "responses": response, "attention_mask": mask}, [1])
    return DataProto.from_dict(
        tensors=dict(batch.items()),
        non_tensors={key: _object_array(row[key]) for key in TOLD if key in row},
    )


def _object_array(value):
    array = np.empty(1, dtype=object)
    array[0] = value
    return array
