"""How likely the actor gives each truth of the test sets: verl's own log-probs of rows whose answer is the truth.

The rows take the way of rollouts (TransferQueue, `compute_log_prob` of the workers), so that every backend has it.
Nothing is drawn: training goes on as if it had not been asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.utils.padding import response_from_nested

from gapo_lab.data.tasks.task import SAMPLED_AGENT, has_one_text
from gapo_lab.models.likelihood import truth_ids
from gapo_lab.models.loading import tokenize
from gapo_lab.rewards import expected_match
from gapo_lab.utils import atomic_files

PARTITION = "truths"


@dataclass(frozen=True)
class Truth:
    """A task of a test set: the set's name, its id, the tokens of its prompt and of its truth with the end mark."""

    source: str
    task: str
    prompt: list[int]
    answer: list[int]


def read(parquet: Path, tokenizer, words: Mapping[str, Any]) -> list[Truth]:
    """The tasks of a validation file whose answer is one text; `words`: data.apply_chat_template_kwargs.

    Sets whose answer is searched in a longer text (zeta's own prompts) have no one right text and are left out.
    """
    import pyarrow.parquet as pq

    return [
        Truth(
            row["data_source"],
            str((row.get("extra_info") or {}).get("id", number)),
            tokenize(tokenizer, row["prompt"], words),
            truth_ids(tokenizer, row["reward_model"]["ground_truth"]),
        )
        for number, row in enumerate(pq.read_table(parquet).to_pylist())
        if row["agent_name"] == SAMPLED_AGENT and has_one_text(row)
    ]


def log_likelihoods(truths: list[Truth], workers, multiple: int) -> dict[float, list[float]]:
    """Temperature -> log P of each truth, by the weights that the actor has now.

    workers: verl's group of actors. multiple: how many of them share the rows out; their number is filled up.
    """
    batch = _put(truths + truths[-1:] * (-len(truths) % multiple))
    try:
        return {
            temperature: _at(batch, workers, temperature)[: len(truths)] for temperature in expected_match.TEMPERATURES
        }
    finally:
        tq.kv_clear(keys=batch.keys, partition_id=PARTITION)


def _put(truths: list[Truth]):
    """The rows in the queue, as verl's agent loop puts rollouts there."""
    fields, tags = [], []
    for truth in truths:
        prompt, answer = torch.tensor(truth.prompt), torch.tensor(truth.answer)
        ids, mask = torch.cat([prompt, answer]), torch.ones_like(answer)
        fields.append(
            {
                "prompts": prompt,
                "responses": answer,
                "response_mask": mask,
                "loss_mask": mask,
                "input_ids": ids,
                "position_ids": torch.arange(len(ids)),
            }
        )
        tags.append({"prompt_len": len(prompt), "response_len": len(answer), "seq_len": len(ids)})
    keys = [f"truth_{number}" for number in range(len(truths))]
    tq.kv_batch_put(keys=keys, fields=list_of_dict_to_tensordict(fields), tags=tags, partition_id=PARTITION)
    return KVBatchMeta(keys=keys, tags=tags, partition_id=PARTITION)


def _at(batch, workers, temperature: float) -> list[float]:
    batch.extra_info.update({"calculate_entropy": False, "compute_loss": False, "temperature": temperature})
    workers.compute_log_prob(batch)
    data = tq.kv_batch_get(keys=batch.keys, partition_id=PARTITION, select_fields=["log_probs", "response_mask"])
    answers = response_from_nested(data["log_probs"], data["response_mask"])
    return [float(row.double().sum()) for row in answers.unbind()]


def metrics(truths: list[Truth], logs: Mapping[float, list[float]]) -> dict[str, float]:
    """`val/<set>/em_expected` and its like for each test set."""
    return expected_match.by_set([truth.source for truth in truths], logs)


def write(path: Path, truths: list[Truth], logs: Mapping[float, list[float]]) -> None:
    """A line a task: `set`, `id`, and `loglik` and `loglik_t50` (log P at T=1 and 0.5)."""
    names = {temperature: f"loglik{suffix}" for temperature, suffix in expected_match.TEMPERATURES.items()}
    lines = [
        json.dumps(
            {"set": truth.source, "id": truth.task}
            | {names[temperature]: round(values[number], 6) for temperature, values in logs.items()}
        )
        for number, truth in enumerate(truths)
    ]
    atomic_files.make_folder(path.parent)
    atomic_files.write_text(path, "\n".join(lines) + "\n")
