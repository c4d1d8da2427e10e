"""P(exact match) by likelihood against the definition: token by token, and against sampled answers."""

from __future__ import annotations

import math

import pytest
import torch

from gapo_lab.data.micro.generator import generate
from gapo_lab.models import likelihood
from gapo_lab.models.nano import tokenizer as vocabulary
from gapo_lab.models.nano.exact_match import prompt_ids
from gapo_lab.models.sampling import SamplingParams, sample
from gapo_lab.rewards import expected_match

# transformers and a model take seconds to load
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nano():
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    tokenizer = vocabulary.load()
    tasks = generate("id", 24, seed=5)
    answers = [likelihood.truth_ids(tokenizer, task.truth) for task in tasks]
    model = AutoModelForCausalLM.from_pretrained(vocabulary.FOLDER, dtype=torch.float32).eval()
    return model, tokenizer, tasks, prompt_ids(tokenizer, tasks), answers


def test_it_is_the_sum_of_the_tokens_log_probs_whatever_the_batch(nano, monkeypatch):
    model, tokenizer, _, prompts, answers = nano
    together = likelihood.log_likelihoods(model, prompts, answers, (1.0, 0.5), tokenizer.pad_token_id)
    monkeypatch.setattr(likelihood, "TOKENS", 1)  # a row at a time
    apart = likelihood.log_likelihoods(model, prompts, answers, (1.0, 0.5), tokenizer.pad_token_id)
    for temperature in (1.0, 0.5):
        assert together[temperature] == pytest.approx(apart[temperature], abs=1e-3)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompts[0] + answers[0]])).logits[0, len(prompts[0]) - 1 : -1] / 0.5
    wanted = logits.log_softmax(-1)[range(len(answers[0])), answers[0]].sum()
    assert together[0.5][0] == pytest.approx(float(wanted), abs=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampled_answers_are_right_as_often_as_it_says(nano, temperature):
    """And hardly more often: what other tokens of the same text, or white space around it, add is under a point."""
    model, tokenizer, tasks, prompts, answers = nano
    draws = 256
    rows, _ = sample(
        model, prompts, draws, SamplingParams(24, temperature), {tokenizer.eos_token_id}, tokenizer.pad_token_id, seed=1
    )
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True)
    right = [text.strip() == tasks[number // draws].truth.strip() for number, text in enumerate(texts)]
    logs = likelihood.log_likelihoods(model, prompts, answers, (1.0, 0.5), tokenizer.pad_token_id)
    found = expected_match.metrics({t: logs[t] for t in (1.0, 0.5)})
    likely = [math.exp(log) for log in logs[temperature]]
    error = math.sqrt(sum(p * (1 - p) for p in likely) / draws) / len(likely)
    name = f"em_expected{expected_match.TEMPERATURES[temperature]}"
    assert found[name] == pytest.approx(sum(likely) / len(likely))
    assert -4 * error < sum(right) / len(right) - found[name] < 4 * error + 0.01


def test_the_measures_of_a_set_by_hand():
    half, sure = math.log(0.5), 0.0
    found = expected_match.by_set(["id", "ood", "id"], {1.0: [half, half, sure], 0.5: [sure, half, sure]})
    assert found["val/id/em_expected"] == pytest.approx(0.75) and found["val/ood/em_expected"] == pytest.approx(0.5)
    assert found["val/id/em_expected_t50"] == 1.0 and found["val/id/em_loglik"] == pytest.approx(half / 2)
    assert found["val/id/em_answer_noise"] == pytest.approx(0.25)  # sqrt(0.25 + 0) / 2
    with pytest.raises(ValueError, match="at least one task"):
        expected_match.metrics({1.0: []})
