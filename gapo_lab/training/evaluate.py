"""A trained model on test sets, greedily and as sampled answers are expected to be: torch and transformers, no Ray.

A validation samples one answer a task, where a policy also wins by becoming sure of what it knows, and luck counts.
Greedy answers do not pay for the one; against the other stands the likelihood of the truths where the reward is exact
match, and the mean of several answers where it is not. What is found of a finished run joins its metrics at the
checkpoint's step, under the names that a run with `data.greedy=true` and `data.expected=true` gives them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer

from gapo_lab.data.tasks.task import SAMPLED_AGENT, has_one_text
from gapo_lab.errors import UserError
from gapo_lab.models.adapters import merged
from gapo_lab.models.likelihood import log_likelihoods, truth_ids
from gapo_lab.models.loading import network, pretrained, tokenize
from gapo_lab.models.sampling import SamplingParams, sample
from gapo_lab.rewards import expected_match
from gapo_lab.rewards.answer_noise import answer_noise
from gapo_lab.runs import checkpoints
from gapo_lab.runs.attempt import Attempt
from gapo_lab.runs.folder import RunFolder
from gapo_lab.training.checkpoint_weights import adapter_scale, weights
from gapo_lab.training.reward_outside_training import RewardCalls, is_exact_match

_MEASURED = re.compile(r"val/[^/]+/(\w+_greedy|\w+_expected(_t\d+|_noise)?|em_(loglik|answer_noise)(_t\d+)?)")


@dataclass
class Evaluator:
    """Keeps what the runs of a sweep share: the token ids of their test sets' prompts.

    answers: sampled answers a task where the reward is no exact match. step: of the checkpoint; None is the last.
    """

    answers: int = 8
    step: int | None = None
    _prompts: dict[tuple, list[list[int]]] = field(default_factory=dict)

    def evaluate(self, folder: RunFolder) -> tuple[int, dict[str, float]]:
        """Return the checkpoint's step and its greedy and expected metrics; they join the run's unless they are there.

        Raises UserError where the run has not finished or keeps no whole checkpoint of that step, where its reward
        cannot be called, and where its test sets are not on this machine.
        """
        if not folder.is_finished:
            raise UserError(f"run {folder.key} has not finished. Resume it with the same sweep command")
        points = folder.merged_points()
        step = max(points, default=0) if self.step is None else self.step
        there = {name: point.value for name, point in points.get(step, {}).items() if _MEASURED.fullmatch(name)}
        if any(name.endswith("_greedy") for name in there) and any(name.endswith("_expected") for name in there):
            return step, there
        config = OmegaConf.create(folder.config())
        calls = RewardCalls(config, folder.path)
        rows = _rows(folder)
        model, tokenizer = _load(folder, step, config)
        found = measure(model, tokenizer, rows, self._tokenized(rows, tokenizer, folder, config), calls, self.answers)
        # as of the run's end: MLflow's copy of the summary bears the time of the newest point
        ended = max(point.time for at in points.values() for point in at.values())
        _attempt_of(folder, step).append_metrics(step, found, ended)
        return step, found

    def _tokenized(self, rows: list[dict], tokenizer, folder: RunFolder, config: DictConfig) -> list[list[int]]:
        key = (str(folder.data_folder()), tokenizer.chat_template, tokenizer.vocab_size)
        if key not in self._prompts:
            self._prompts[key] = _tokens(rows, tokenizer, config)
        return self._prompts[key]


def evaluate_model(config: DictConfig, answers: int = 8) -> dict[str, float]:
    """Measure the model of a configuration, as it lies in its folder or in the cache, on its test sets."""
    from gapo_lab.data.prepare import prepare

    model, tokenizer = pretrained(str(config.model.path))
    prepared = prepare(OmegaConf.to_container(config.data, resolve=True), tokenizer, Path("data"))
    calls = RewardCalls(config)
    rows = _sampled(prepared.val)
    return measure(model, tokenizer, rows, _tokens(rows, tokenizer, config), calls, answers)


def measure(
    model: torch.nn.Module,
    tokenizer,
    rows: Sequence[Mapping[str, Any]],
    prompts: list[list[int]],
    calls: RewardCalls,
    answers: int,
) -> dict[str, float]:
    """Return `val/<set>/<measure>_greedy`, and `<measure>_expected`, what the mean of sampled answers should be.

    Where the reward is exact match, that is the likelihood of the truths, without noise. Else it is the mean of so many
    answers a task, and `<measure>_expected_noise` is the standard deviation that their luck gives it.
    """
    config = calls.config
    eos, pad = {tokenizer.eos_token_id}, tokenizer.pad_token_id

    def answered(n: int, temperature: float, **cut: Any) -> list[str]:
        params = SamplingParams(int(config.data.max_response_length), temperature=temperature, **cut)
        ids, _ = sample(model, prompts, n, params, eos, pad, seed=0)
        return tokenizer.batch_decode(ids, skip_special_tokens=True)

    sources = [str(row["data_source"]) for row in rows]
    found = _means(sources, calls.scores(rows, answered(1, 0.0)), "_greedy")
    if is_exact_match(config):
        return found | _likelihoods(rows, prompts, model, tokenizer)
    drawn = config.actor_rollout_ref.rollout.val_kwargs
    texts = answered(answers, float(drawn.temperature), top_p=float(drawn.top_p), top_k=int(drawn.top_k))
    scored = calls.scores([row for row in rows for _ in range(answers)], texts)
    many = [source for source in sources for _ in range(answers)]
    tasks = [str(number) for number in range(len(rows)) for _ in range(answers)]
    numbers = {name: [one.get(name) for one in scored] for name in _numbers(scored)}
    noise = answer_noise(many, tasks, numbers)
    return (
        found
        | _means(many, scored, "_expected")
        | {name.replace("_answer_noise", "_expected_noise"): value for name, value in noise.items()}
    )


def _attempt_of(folder: RunFolder, step: int) -> Attempt:
    """Return the attempt that a point at ``step`` belongs to: the last that had begun by then."""
    begun = [one for one in folder.attempts() if min((row.step for row in one.rows()), default=step + 1) <= step]
    return (begun or folder.attempts())[-1]


def _rows(folder: RunFolder) -> list[dict[str, Any]]:
    place = folder.data_folder()
    if place is None:
        raise UserError(f"run {folder.key}: its test sets are not on this machine (data.json says where they were)")
    return _sampled(place / "val.parquet")


def _sampled(path: Path) -> list[dict[str, Any]]:
    """Return the rows of all test sets, once each."""
    import pyarrow.parquet as pq

    return [row for row in pq.read_table(path).to_pylist() if row["agent_name"] == SAMPLED_AGENT]


def _tokens(rows: Sequence[Mapping[str, Any]], tokenizer, config: DictConfig) -> list[list[int]]:
    words = config.data.apply_chat_template_kwargs
    return [tokenize(tokenizer, row["prompt"], words) for row in rows]


def _load(folder: RunFolder, step: int, config: DictConfig) -> tuple[torch.nn.Module, Any]:
    """Return the model that the checkpoint holds, ready to answer, and its tokenizer."""
    there = checkpoints.steps(folder.checkpoints)
    if step not in there:
        kept = f"; it keeps {', '.join(map(str, sorted(there)))} (keep=all keeps more)" if there else ""
        raise UserError(
            f"run {folder.key} keeps no checkpoint of step {step}{kept}"
            + ("" if kept else " (keep=none, or gc --keep none): train with data.greedy=true")
        )
    actor = there[step] / "actor"
    settings = config.actor_rollout_ref
    attention = (settings.model.get("override_config") or {}).get("attn_implementation", "sdpa")
    model = network(actor / "huggingface", settings.rollout.dtype, attention)
    model.load_state_dict(merged(weights(actor), adapter_scale(actor)))
    tokenizer = AutoTokenizer.from_pretrained(actor / "huggingface")
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _likelihoods(rows: Sequence[Mapping[str, Any]], prompts: list[list[int]], model, tokenizer) -> dict[str, float]:
    """Return `val/<set>/em_expected` and its like, for the sets whose answer is one text."""
    known = [number for number, row in enumerate(rows) if has_one_text(row)]
    answers = [truth_ids(tokenizer, rows[number]["reward_model"]["ground_truth"]) for number in known]
    asked = [prompts[number] for number in known]
    logs = log_likelihoods(model, asked, answers, tuple(expected_match.TEMPERATURES), tokenizer.pad_token_id)
    return expected_match.by_set([rows[number]["data_source"] for number in known], logs)


def _numbers(scored: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names that are numbers, where they are there."""
    names = dict.fromkeys(name for one in scored for name in one)
    return [name for name in names if all(isinstance(one.get(name, 0.0), Real) for one in scored)]


def _means(sources: Sequence[str], scored: Sequence[Mapping[str, Any]], suffix: str) -> dict[str, float]:
    """Return `val/<set>/<measure><suffix>`: means over each test set; a text has none, and None does not count."""
    values: dict[str, list[float]] = defaultdict(list)
    for source, one in zip(sources, scored, strict=True):
        for name, value in one.items():
            if isinstance(value, Real):
                values[f"val/{source}/{name}{suffix}"].append(float(value))
    return {name: sum(each) / len(each) for name, each in values.items()}
