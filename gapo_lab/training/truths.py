"""How likely the actor gives each truth of the test sets.

The workers that train compute them (`actor.py`), whatever the backend. Nothing is drawn: training goes on as if it had
not been asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapo_lab.data.tasks.task import SAMPLED_AGENT, has_one_text
from gapo_lab.models.likelihood import truth_ids
from gapo_lab.models.loading import tokenize
from gapo_lab.rewards import expected_match
from gapo_lab.utils import atomic_files


@dataclass(frozen=True)
class Truth:
    """A task of a test set: the set's name, its id, the tokens of its prompt and of its truth with the end mark."""

    source: str
    task: str
    prompt: list[int]
    answer: list[int]


def read(parquet: Path, tokenizer, words: Mapping[str, Any]) -> list[Truth]:
    """Return the tasks of a validation file whose answer is one text; `words`: data.apply_chat_template_kwargs.

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


def log_likelihoods(truths: Sequence[Truth], rows, workers) -> dict[float, list[float]]:
    """Temperature -> log P of each truth, by the weights that the actor has now.

    rows: `lie_ready(truths)`. workers: verl's group of actors (`LabWorker`).
    """
    shares = workers.log_likelihoods(rows, tuple(expected_match.TEMPERATURES))
    found = dict(pair for share in shares for pair in share)
    return {
        temperature: [found[number][place] for number in range(len(truths))]
        for place, temperature in enumerate(expected_match.TEMPERATURES)
    }


def lie_ready(truths: Sequence[Truth]):
    """Return the rows of the truths in Ray's memory, from where workers take them at each validation."""
    import ray

    return ray.put([(truth.prompt, truth.answer) for truth in truths])


def metrics(truths: list[Truth], logs: Mapping[float, list[float]]) -> dict[str, float]:
    """`val/<set>/em_expected` and its like for each test set."""
    return expected_match.by_set([truth.source for truth in truths], logs)


def write(path: Path, truths: list[Truth], logs: Mapping[float, list[float]]) -> None:
    """Write a line a task: `set`, `id`, and `loglik` and `loglik_t50` (log P at T=1 and 0.5)."""
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
