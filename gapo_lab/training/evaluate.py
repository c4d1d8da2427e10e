"""The last checkpoint of a finished run on its test sets, greedily and by likelihood: torch and transformers, no verl.

A validation samples at T=1, where a policy also wins by becoming sure of what it knows. Greedy answers do not pay for
that, and the likelihood of the truths has no noise of sampling. What is found joins the run's metrics at the
checkpoint's step as `val/<set>/em_greedy` and `val/<set>/em_expected`, as a run with `data.greedy=true` and
`data.expected=true` measures them itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoTokenizer

from gapo_lab.data.tasks.task import SAMPLED_AGENT, has_one_text
from gapo_lab.errors import UserError
from gapo_lab.models.likelihood import log_likelihoods, truth_ids
from gapo_lab.models.loading import network, tokenize
from gapo_lab.models.sampling import SamplingParams, sample
from gapo_lab.rewards import expected_match
from gapo_lab.runs import checkpoints
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.checkpoint_weights import weights
from gapo_lab.training.reward_function import compute_score

_MEASURED = re.compile(r"val/[^/]+/(\w+_greedy|em_(expected|loglik|answer_noise)(_t\d+)?)")
OURS = "pkg://gapo_lab.training.reward_function"
HEADLINES = ("val/id/em_greedy", "val/id/em_expected")


@dataclass
class Evaluator:
    """Keeps what the runs of a sweep share: the token ids of their test sets' prompts."""

    _prompts: dict[tuple, list[list[int]]] = field(default_factory=dict)

    def evaluate(self, folder: RunFolder) -> tuple[int, dict[str, float]]:
        """Return the checkpoint's step and its greedy and expected metrics; appended to the last attempt unless there.

        Raises UserError where the run has not finished, keeps no whole checkpoint of its last step or is scored by a
        reward of its own, and where its test sets are not on this machine.
        """
        if not folder.is_finished:
            raise UserError(f"run {folder.key} has not finished: the same sweep command goes on with it")
        points = folder.merged_points()
        step = max(points, default=0)
        there = points.get(step, {})
        if there.keys() >= set(HEADLINES):
            return step, {name: point.value for name, point in there.items() if _MEASURED.fullmatch(name)}
        config = folder.config()
        _require_exact_match(folder.key, config["reward"])
        rows = _rows(folder)
        model, tokenizer = _load(folder, step, config)
        prompts = self._tokenized(rows, tokenizer, folder, config)
        params = SamplingParams(int(config["data"]["max_response_length"]), temperature=0.0)
        eos, pad = {tokenizer.eos_token_id}, tokenizer.pad_token_id
        answers, _ = sample(model, prompts, 1, params, eos, pad, seed=0)
        found = _means(rows, tokenizer.batch_decode(answers, skip_special_tokens=True))
        found |= _expected(rows, prompts, model, tokenizer)
        # as of the run's end: MLflow's copy of the summary bears the time of the newest point
        ended = max(point.time for at in points.values() for point in at.values())
        folder.attempts()[-1].append_metrics(step, found, ended)
        return step, found

    def _tokenized(self, rows: list[dict], tokenizer, folder: RunFolder, config: Mapping) -> list[list[int]]:
        key = (str(folder.data_folder()), tokenizer.chat_template, tokenizer.vocab_size)
        if key not in self._prompts:
            self._prompts[key] = [
                tokenize(tokenizer, row["prompt"], config["data"]["apply_chat_template_kwargs"]) for row in rows
            ]
        return self._prompts[key]


def _require_exact_match(key: str, reward: Mapping[str, Any]) -> None:
    """UserError for a run that was scored by something else: its answers have no exact match."""
    asked = reward["custom_reward_function"]
    if (asked["path"], asked["name"]) != (OURS, compute_score.__name__):
        called = reward.get("name") or asked["name"]
        raise UserError(f"run {key} is rewarded by {called}: only exact match is evaluated here")


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the rows of both test sets, once each."""
    import pyarrow.parquet as pq

    place = folder.data_folder()
    if place is None:
        raise UserError(f"run {folder.key}: its test sets are not on this machine (data.json says where they were)")
    rows = pq.read_table(place / "val.parquet").to_pylist()
    return [row for row in rows if row["agent_name"] == SAMPLED_AGENT]


def _load(folder: RunFolder, step: int, config: Mapping) -> tuple[torch.nn.Module, Any]:
    """Return the model that the checkpoint holds, ready to answer, and its tokenizer."""
    place = checkpoints.steps(folder.checkpoints).get(step)
    if place is None:
        raise UserError(
            f"run {folder.key} keeps no checkpoint of step {step}, its last (keep=none, or gc --keep none): "
            "train with data.greedy=true"
        )
    actor = place / "actor"
    settings = config["actor_rollout_ref"]
    attention = (settings["model"].get("override_config") or {}).get("attn_implementation", "sdpa")
    model = network(actor / "huggingface", settings["rollout"]["dtype"], attention)
    model.load_state_dict(weights(actor))
    tokenizer = AutoTokenizer.from_pretrained(actor / "huggingface")
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _expected(rows: list[dict[str, Any]], prompts: list[list[int]], model, tokenizer) -> dict[str, float]:
    """`val/<set>/em_expected` and its like, for the sets whose answer is one text."""
    known = [number for number, row in enumerate(rows) if has_one_text(row)]
    answers = [truth_ids(tokenizer, rows[number]["reward_model"]["ground_truth"]) for number in known]
    asked = [prompts[number] for number in known]
    logs = log_likelihoods(model, asked, answers, tuple(expected_match.TEMPERATURES), tokenizer.pad_token_id)
    return expected_match.by_set([rows[number]["data_source"] for number in known], logs)


def _means(rows: list[dict[str, Any]], answers: list[str]) -> dict[str, float]:
    """`val/<set>/<measure>_greedy`: means over each test set."""
    scores: dict[str, list[float]] = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        source = row["data_source"]
        found = compute_score(source, answer, row["reward_model"]["ground_truth"], row["extra_info"])
        for measure, value in found.items():
            if not isinstance(value, str):  # which task it was
                scores[f"val/{source}/{measure}_greedy"].append(value)
    return {name: sum(values) / len(values) for name, values in scores.items()}
